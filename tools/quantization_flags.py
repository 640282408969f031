"""Flags of quantization: scheme, operating points, PTQ method."""

import hashlib
import pathlib

import common_flags
import evaluation_flags
from absl import flags

SCHEME = flags.DEFINE_list(
    "scheme",
    ["paper"],
    "'paper' (per tensor, ends in float) or 'tflite' (batch norm folded, per "
    "channel, ends at 8 bits); both separated by a comma.",
)
POINTS = flags.DEFINE_multi_string(
    "points",
    ["minmax: {8..2}/FP", "bits", "steps", "pow2"],
    "What to measure beside the float model, '[scheme] [PTQ method] [kind of "
    "sweep]: pattern'; may be repeated. A pattern is such as '{8..2}/FP', "
    "'{8..3}' (of both), '4/FP x{0.7:1.3:0.05}' (step ratios), '4/4 "
    "x1/{0.9,1.1}' (of the activations), '4/4 x{0.9,1.1}/=' (of both) or '4/FP "
    "{floor,stochastic:{0:4}}'; or a preset: bits, steps, pow2, rounding, "
    "sensitivity. In front, if anything: 'paper' or 'tflite' for one --scheme "
    "only; a method in place of --ptq, with ' + adaround' behind it for "
    "learned rounding; 'clipping' (ratios of the clip to the largest weight), "
    "'sensitivity' (one layer at a time) or 'calibration_seed' (with each of "
    "--calibration_seeds).",
)
PTQ = flags.DEFINE_string(
    "ptq",
    "lp_norm",
    "Where the step sizes of --points come from that name no method: "
    "'minmax', 'lp_norm' (the MSE; 'lp_norm p=2.4' for another norm), 'aciq', "
    "'uniform', 'pow2_nearest', 'pow2_up', 'pow2_search'; 'predefined "
    "0.01,0.02,0.05' chooses out of what a device offers; 'lapq_gradient' and "
    "'lapq' search by the loss on the labelled calibration images, which with "
    "'lapq' takes minutes; so does 'learned_steps', for "
    "--reestimate_batch_norm=on, best with --calibration_count=2048 and "
    "--calibration_augment as in training; 'trained' keeps those of a model "
    "from quantization-aware training.",
)
STEP_SIZES = flags.DEFINE_string(
    "step_sizes",
    None,
    "step_sizes.json to use in place of --ptq; at other bits than its own the "
    "clipping range is kept.",
)
CALIBRATION_SEEDS = flags.DEFINE_list(
    "calibration_seeds",
    [],
    "Seeds of other draws of calibration images, for --points='calibration_seed"
    ": 4/4': each is calibrated on and measured.",
)
CALIBRATION_AUGMENT = flags.DEFINE_list(
    "calibration_augment",
    [],
    "Augmentations of the calibration images, as for --augment of "
    "tools/train.py; default: none.",
)
REESTIMATE_BATCH_NORM = flags.DEFINE_enum(
    "reestimate_batch_norm",
    "off",
    ["off", "on", "both"],
    "Measure batch-norm statistics again at every point, on training images: "
    "off, on, or both ways side by side. A --scheme that folds batch norm has "
    "none left and is measured as it is.",
)
PARITY_POINTS = flags.DEFINE_multi_string(
    "parity_points",
    [],
    "Patterns at which weights are also put on the grid of the paper's "
    "reference code, whose zero moves (Fig. 4c-d); such as '4/FP "
    "x{0.98,1,1.02}'.",
)
flags.adopt_module_key_flags(evaluation_flags)
common_flags.gone(
    weights_only="Write --points='{VALUE}/FP'.",
    both="Write --points='{VALUE}': bits alone are for both.",
    both_by_all="Write the method before the points: --points='minmax: 4/4'.",
    ratio_bits="Write --points='{VALUE}/FP x{0.7:1.3:0.05}', or 'steps'.",
    ratios="Write --points='4/FP x{VALUE}'.",
    power_of_two_bits="Write --points='{VALUE}/FP {pow2,pow2-up}', or 'pow2'.",
    rounding="Write --points='lp_norm + adaround: {4,3,2}/FP'.",
    activation_ratio_bits="Write --points='{VALUE} x1/{0.7:1.3:0.05}'.",
    joint_ratio_bits="Write --points='{VALUE} x{0.7:1.3:0.05}/='.",
    rounding_modes="Write --points='4/FP {VALUE}', or 'rounding'.",
    rounding_bits="Write --points='{VALUE}/FP {half-up,floor}'.",
    clipping_ratios="Write --points='clipping: 4/FP x{VALUE}'.",
    clipping_bits="Write --points='clipping: {VALUE}/FP x{0.5:1:0.1}'.",
    sensitivity_bits="Write --points='sensitivity: {VALUE}/FP'.",
    sensitivity_ratios="Write --points='sensitivity: 3/FP x{VALUE}'.",
    calibration_seed_bits="Write --points='calibration_seed: {VALUE}'.",
    parity_ratios="Write --parity_points='4/FP x{VALUE}'.",
    p="Write --ptq='lp_norm p=VALUE'.",
    allowed_steps="Write --ptq='predefined VALUE'.",
)

_REESTIMATE = {"off": (False,), "on": (True,), "both": (False, True)}


def ptq_method():
    """Returns `(name for reports, PTQ method)`; None for trained steps."""
    from kure_tf.sweeps import method_named

    for given in given_steps().items():
        return given
    return method_named(PTQ.value)


def given_steps():
    """Returns `{name for reports: PTQ method}` of --step_sizes, if given."""
    from kure_tf.settings import StepSizes

    if not STEP_SIZES.value:
        return {}
    given = StepSizes.load(STEP_SIZES.value)
    content = pathlib.Path(STEP_SIZES.value).read_bytes()
    # Rows of other step sizes, in a file of the same name, are others.
    name = f"given {hashlib.sha256(content).hexdigest()[:8]}"
    return {name: lambda calibration, point: given}


def plans():
    """Returns a `SweepPlan` for each --scheme."""
    return [_plan(scheme) for scheme in SCHEME.value]


def _plan(scheme):
    from fields import numbers

    from kure_tf.fake_quantized import placement as placements
    from kure_tf.sweeps import SweepPlan

    reestimate = _REESTIMATE[REESTIMATE_BATCH_NORM.value]
    if len(SCHEME.value) > 1 and placements.get(scheme).fold_batch_norm:
        reestimate = (False,)
    given = given_steps()
    return SweepPlan(
        tuple(POINTS.value),
        ptq=next(iter(given), PTQ.value),
        methods=given,
        scheme=scheme,
        calibration_seeds=tuple(numbers(CALIBRATION_SEEDS, int)),
        batch_size=evaluation_flags.EVALUATION_BATCH_SIZE.value,
        reestimate_batch_norm=reestimate,
        batch_norm_images=evaluation_flags.BATCH_NORM_IMAGES.value,
        batch_norm_augment=evaluation_flags.batch_norm_augment(),
        calibration_augment=tuple(CALIBRATION_AUGMENT.value),
    )


def parity():
    """Returns what `runs.measure` is to measure for --parity_points."""
    if not PARITY_POINTS.value:
        return ()
    from kure_tf.paper import reference_parity
    from kure_tf.settings import all_points

    points = all_points(PARITY_POINTS.value)

    def measure(model, dataset, name):
        return reference_parity(
            model,
            dataset.test,
            points,
            name=name,
            provenance={"scheme": "reference"},
        )

    return (measure,)
