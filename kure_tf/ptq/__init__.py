"""Post-training quantization: calibration, and methods that give step sizes.

A method is a function `(calibration, point, **options) -> StepSizes`. All but
`lapq`, `lapq_gradient` and `learned_steps` look at the values of each tensor
alone; those three measure a loss, for which the calibration images need labels.
What goes beyond step sizes, such as batch-norm statistics and learned rounding,
is data too, set at a point.
"""

from kure_tf.ptq.aciq import aciq
from kure_tf.ptq.adaround import adaround
from kure_tf.ptq.batch_norm import reestimate_batch_norm
from kure_tf.ptq.bias_correction import bias_correction
from kure_tf.ptq.calibration import CalibratedTensor, Calibration, calibrate
from kure_tf.ptq.calibration_loss import CalibrationLoss
from kure_tf.ptq.lapq import lapq
from kure_tf.ptq.lapq_gradient import lapq_gradient
from kure_tf.ptq.learned_steps import learned_steps
from kure_tf.ptq.lp_norm import lp_norm
from kure_tf.ptq.minmax import minmax
from kure_tf.ptq.nested_rounding import nested_rounding
from kure_tf.ptq.nested_settings import nested_settings
from kure_tf.ptq.power_of_two import pow2_nearest, pow2_search, pow2_up
from kure_tf.ptq.predefined import predefined
from kure_tf.ptq.settings_for import settings_for
from kure_tf.ptq.uniform import uniform

__all__ = [
    "CalibratedTensor",
    "Calibration",
    "CalibrationLoss",
    "aciq",
    "adaround",
    "bias_correction",
    "calibrate",
    "lapq",
    "lapq_gradient",
    "learned_steps",
    "lp_norm",
    "minmax",
    "nested_rounding",
    "nested_settings",
    "pow2_nearest",
    "pow2_search",
    "pow2_up",
    "predefined",
    "reestimate_batch_norm",
    "settings_for",
    "uniform",
]

METHODS = (
    "aciq",
    "lapq",
    "lapq_gradient",
    "learned_steps",
    "lp_norm",
    "minmax",
    "pow2_nearest",
    "pow2_search",
    "pow2_up",
    "uniform",
)


def get(name):
    """Returns the PTQ method of that name; a function is returned as it is."""
    if callable(name):
        return name
    if name not in METHODS:
        raise ValueError(
            f"Expected the name of a PTQ method, one of {METHODS}, or a "
            "function (calibration, point) -> StepSizes, such as "
            "functools.partial(ptq.predefined, allowed=[0.01, 0.02]). "
            f"Received: {name!r}."
        )
    return globals()[name]
