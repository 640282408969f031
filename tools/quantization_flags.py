"""Flags of quantization: placement, operating points, PTQ method."""

import hashlib
import pathlib

import common_flags
import evaluation_flags
from absl import flags
from fields import Fields

PLACEMENT = flags.DEFINE_list(
    "placement",
    ["paper"],
    "'paper' (per tensor, ends in float) or 'tflite' (batch norm folded, per "
    "channel, ends at 8 bits); both separated by a comma. In exact files the "
    "ends of 'paper' have 8 bits, too. Of two placements, the one that "
    "folds batch norm is not measured with it re-estimated.",
)
flags.register_validator(
    "placement",
    lambda placements: len(set(placements)) == len(placements),
    "Expected placements that differ, separated by commas.",
)
_PLAN = Fields(
    "kure_tf.sweeps.plan.SweepPlan",
    (
        *("points", "ptq", "calibration_seeds", "calibration_augment"),
        "reestimate_batch_norm",
    ),
    repeated=("points",),
)
STEP_SIZES = flags.DEFINE_string(
    "step_sizes",
    None,
    "step_sizes.json to use in place of --ptq; at other bits than its own the "
    "clipping range is kept.",
)
flags.adopt_module_key_flags(evaluation_flags)
common_flags.gone(
    scheme="Write --placement=VALUE.",
    qat_scheme="Write --qat_placement=VALUE.",
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


def ptq_method():
    """Returns `(name for reports, PTQ method)`; None for trained steps."""
    from kure_tf.sweeps import method_named

    for given in _given_steps().items():
        return given
    return method_named(_PLAN.values()["ptq"])


def calibration_augment():
    """Returns --calibration_augment."""
    return _PLAN.values()["calibration_augment"]


def plans():
    """Returns a `SweepPlan` for each --placement."""
    return [_plan(placement) for placement in PLACEMENT.value]


def _plan(placement):
    from kure_tf.fake_quantized import placement as placements
    from kure_tf.sweeps import SweepPlan

    methods = _given_steps()
    values = {**_PLAN.values(), **evaluation_flags.values()}
    for name in methods:
        values["ptq"] = name
    if len(PLACEMENT.value) > 1 and placements.get(placement).fold_batch_norm:
        values["reestimate_batch_norm"] = "off"  # It has none left.
    return SweepPlan(**values, methods=methods, placement=placement)


def _given_steps():
    """Returns `{name for reports: PTQ method}` of --step_sizes, if given."""
    from kure_tf.settings import StepSizes

    if not STEP_SIZES.value:
        return {}
    given = StepSizes.load(STEP_SIZES.value)
    content = pathlib.Path(STEP_SIZES.value).read_bytes()
    # Rows of other step sizes, in a file of the same name, are others.
    name = f"given {hashlib.sha256(content).hexdigest()[:8]}"
    return {name: lambda calibration, point: given}
