"""Flags of quantization: scheme, PTQ methods, operating points."""

import functools
import hashlib
import pathlib

import evaluation_flags
from absl import flags

SCHEME = flags.DEFINE_list(
    "scheme",
    ["paper"],
    "'paper' (per tensor, ends in float) or 'tflite' (batch norm folded, per "
    "channel, ends at 8 bits); both separated by a comma. The second one is "
    "swept over bits alone.",
)
PTQ = flags.DEFINE_list(
    "ptq",
    ["minmax", "lp_norm"],
    "Where step sizes come from: 'minmax', 'lp_norm', 'aciq', 'uniform', "
    "'pow2_nearest', 'pow2_up', 'pow2_search'; 'predefined' chooses out of "
    "--allowed_steps; "
    "'lapq_gradient' and 'lapq' search by the loss "
    "on the labelled calibration images, which with 'lapq' takes minutes; so "
    "does 'learned_steps', for --reestimate_batch_norm=on, best with "
    "--calibration_count=2048 and --calibration_augment as in training; "
    "'trained' keeps those of a model from quantization-aware training. All "
    "are swept over weight bits, the last one over everything else too.",
)
ALLOWED_STEPS = flags.DEFINE_list(
    "allowed_steps",
    [],
    "Step sizes that a device offers, such as 0.01,0.02,0.05; for "
    "--ptq=predefined.",
)
NORM = flags.DEFINE_float("p", 2.0, "Norm of lp_norm; 2 is the MSE.")
STEP_SIZES = flags.DEFINE_string(
    "step_sizes",
    None,
    "step_sizes.json to use in place of --ptq; at other bits than its own the "
    "clipping range is kept.",
)
WEIGHTS_ONLY = flags.DEFINE_list(
    "weights_only", ["8", "7", "6", "5", "4", "3", "2"], "Weight bits of b/FP."
)
BOTH = flags.DEFINE_list(
    "both", ["8", "7", "6", "5", "4", "3"], "Bits of b/b; empty for none."
)
BOTH_BY_ALL = flags.DEFINE_bool(
    "both_by_all", False, "Sweep --both with each of --ptq, not the last alone."
)
RATIO_BITS = flags.DEFINE_list(
    "ratio_bits", ["4", "3"], "Weight bits at which the step is scaled."
)
RATIOS = flags.DEFINE_list(
    "ratios",
    [f"{0.70 + 0.05 * i:.2f}" for i in range(13)],
    "Ratios of the step size to the one found.",
)
POWER_OF_TWO_BITS = flags.DEFINE_list(
    "power_of_two_bits",
    ["4", "3"],
    "Weight bits at which steps are rounded to powers of two.",
)
POINTS = flags.DEFINE_list(
    "points",
    [],
    "Further operating points, such as '4/4 x1.02' or '3/8'; with the last of "
    "--ptq.",
)
ROUNDING = flags.DEFINE_list(
    "rounding",
    ["nearest"],
    "How weights are rounded: 'nearest', 'adaround', or both separated by a "
    "comma. 'adaround' learns it on the images of --batch_norm_images at the "
    "bits of --weights_only and --both, with the steps of the last --ptq; a "
    "minute or so for each of them. Scaled steps are rounded to nearest.",
)
ACTIVATION_RATIO_BITS = flags.DEFINE_list(
    "activation_ratio_bits",
    [],
    "Bits b of b/b at which the steps of the activations alone go through "
    "--ratios.",
)
JOINT_RATIO_BITS = flags.DEFINE_list(
    "joint_ratio_bits",
    [],
    "Bits b of b/b at which the steps of weights and activations go through "
    "--ratios at once.",
)
ROUNDING_MODES = flags.DEFINE_list(
    "rounding_modes",
    [],
    "Roundings of the quantizer to measure beside the nearest level: half_up, "
    "floor (truncating hardware), stochastic:<seed>.",
)
ROUNDING_BITS = flags.DEFINE_list(
    "rounding_bits", ["4"], "Weight bits of b/FP for --rounding_modes."
)
CLIPPING_RATIOS = flags.DEFINE_list(
    "clipping_ratios",
    [],
    "Ratios of the clip to the largest absolute weight, such as 0.5,0.7,0.9.",
)
CLIPPING_BITS = flags.DEFINE_list(
    "clipping_bits", ["4"], "Weight bits of b/FP for --clipping_ratios."
)
SENSITIVITY_BITS = flags.DEFINE_list(
    "sensitivity_bits",
    [],
    "Weight bits of b/FP at which each layer is quantized alone, one after "
    "the other: a point for every layer.",
)
SENSITIVITY_RATIOS = flags.DEFINE_list(
    "sensitivity_ratios",
    [],
    "Step ratios of one layer at a time, the others standing at b/FP of "
    "--sensitivity_bits.",
)
CALIBRATION_SEEDS = flags.DEFINE_list(
    "calibration_seeds",
    [],
    "Seeds of other draws of calibration images; each is calibrated on and "
    "measured.",
)
CALIBRATION_SEED_BITS = flags.DEFINE_list(
    "calibration_seed_bits", ["4"], "Bits of b/b for --calibration_seeds."
)
REESTIMATE_BATCH_NORM = flags.DEFINE_enum(
    "reestimate_batch_norm",
    "off",
    ["off", "on", "both"],
    "Measure batch-norm statistics again at every point, on training images: "
    "off, on, or both ways side by side. A --scheme that folds batch norm has "
    "none left and is measured as it is.",
)
CALIBRATION_AUGMENT = flags.DEFINE_list(
    "calibration_augment",
    [],
    "Augmentations of the calibration images, as for --augment of "
    "tools/train.py; default: none.",
)
PARITY_RATIOS = flags.DEFINE_list(
    "parity_ratios",
    [],
    "Step ratios at which weights are also put on the grid of the paper's "
    "reference code, whose zero moves (Fig. 4c-d), at the first of "
    "--ratio_bits; such as 0.98,1,1.02.",
)
flags.adopt_module_key_flags(evaluation_flags)


_REESTIMATE = {"off": (False,), "on": (True,), "both": (False, True)}


def ptq_methods():
    """Returns `{name for reports: PTQ method}`; None for trained steps."""
    from kure_tf import ptq
    from kure_tf.ptq.predefined import check_allowed
    from kure_tf.settings import StepSizes

    if STEP_SIZES.value:
        given = StepSizes.load(STEP_SIZES.value)
        content = pathlib.Path(STEP_SIZES.value).read_bytes()
        # Rows of other step sizes, in a file of the same name, are others.
        name = f"given {hashlib.sha256(content).hexdigest()[:8]}"
        return {name: lambda calibration, point: given}
    methods = {}
    for name in PTQ.value:
        if name == "trained":
            methods[name] = None
            continue
        if name == "predefined":
            if not ALLOWED_STEPS.value:
                raise ValueError(
                    "--ptq=predefined needs --allowed_steps, the step sizes "
                    "to choose from: --allowed_steps=0.01,0.02,0.05."
                )
            allowed = check_allowed(
                [_number(float, text) for text in ALLOWED_STEPS.value]
            )
            name = f"predefined {','.join(f'{step:g}' for step in allowed)}"
            methods[name] = functools.partial(ptq.predefined, allowed=allowed)
            continue
        method = ptq.get(name)
        if name == "lp_norm":
            name = f"lp_norm p={NORM.value:g}"
            method = functools.partial(method, p=NORM.value)
        methods[name] = method
    return methods


def plans():
    """Returns a `SweepPlan` for each --scheme."""
    return [_plan(scheme) for scheme in SCHEME.value]


def _plan(scheme):
    from kure_tf.fake_quantized import placement as placements
    from kure_tf.settings.operating_point import OperatingPoint, check_bits
    from kure_tf.sweeps import SweepPlan

    def bits(flag):
        return tuple(
            check_bits(_number(int, text), f"--{flag.name}")
            for text in flag.value
        )

    first = scheme == SCHEME.value[0]
    points = tuple(map(OperatingPoint.parse, POINTS.value))
    reestimate = _REESTIMATE[REESTIMATE_BATCH_NORM.value]
    folded = placements.get(scheme).fold_batch_norm
    if len(SCHEME.value) > 1 and folded:
        reestimate = (False,)
    if folded and "learned_steps" in PTQ.value:
        raise ValueError(
            "--ptq=learned_steps learns step sizes for a network whose batch "
            f"norm is re-estimated. --scheme={scheme} folds it, so that none "
            "is left. Take another method for it: --ptq=lapq_gradient."
        )
    return SweepPlan(
        scheme=scheme,
        ptq=ptq_methods(),
        weights_only=bits(WEIGHTS_ONLY),
        both=bits(BOTH),
        both_by_all=BOTH_BY_ALL.value,
        ratio_bits=bits(RATIO_BITS) if first else (),
        ratios=tuple(_number(float, text) for text in RATIOS.value),
        power_of_two_bits=bits(POWER_OF_TWO_BITS) if first else (),
        points=points if first else (),
        **(_dimensions(bits) if first else {}),
        batch_size=evaluation_flags.EVALUATION_BATCH_SIZE.value,
        reestimate_batch_norm=reestimate,
        batch_norm_images=evaluation_flags.BATCH_NORM_IMAGES.value,
        batch_norm_augment=evaluation_flags.batch_norm_augment(),
        calibration_augment=tuple(CALIBRATION_AUGMENT.value),
        roundings=tuple(ROUNDING.value),
    )


def _dimensions(bits):
    """Returns the plan's sweeps beyond bits and weight steps."""

    def numbers(kind, flag):
        return tuple(_number(kind, text) for text in flag.value)

    return {
        "activation_ratio_bits": bits(ACTIVATION_RATIO_BITS),
        "joint_ratio_bits": bits(JOINT_RATIO_BITS),
        "rounding_modes": tuple(ROUNDING_MODES.value),
        "rounding_bits": bits(ROUNDING_BITS),
        "clipping_ratios": numbers(float, CLIPPING_RATIOS),
        "clipping_bits": bits(CLIPPING_BITS),
        "sensitivity_bits": bits(SENSITIVITY_BITS),
        "sensitivity_ratios": numbers(float, SENSITIVITY_RATIOS),
        "calibration_seeds": numbers(int, CALIBRATION_SEEDS),
        "calibration_seed_bits": bits(CALIBRATION_SEED_BITS),
    }


def _number(kind, text):
    try:
        return kind(text)
    except ValueError:
        return text  # Rejected, with the rule, by whoever takes it.


def parity():
    """Returns what `runs.measure` is to measure for --parity_ratios."""
    if not PARITY_RATIOS.value:
        return ()
    from kure_tf.paper import reference_parity
    from kure_tf.settings.operating_point import OperatingPoint

    bits = _number(int, (RATIO_BITS.value or ["4"])[0])
    ratios = [_number(float, text) for text in PARITY_RATIOS.value]
    for ratio in ratios:
        OperatingPoint(bits, None, step_scale=ratio)  # Wrong ones fail now.

    def measure(model, dataset, name):
        return reference_parity(
            model,
            dataset.test,
            bits,
            ratios,
            name=name,
            provenance={"scheme": "reference"},
        )

    return (measure,)
