"""Step sizes from the largest value: nothing is clipped."""

from kure_tf.ptq.calibration import check_calibration
from kure_tf.settings import StepSizes


def minmax(calibration, point) -> StepSizes:
    """Returns the smallest step sizes that clip no calibrated value.

        step_size = max|w| / (2^(b-1) - 1)         symmetric grids
        step_size = max(x) / (2^b - 1)             unsigned
        step_size = (max(x) - min(x)) / (2^b - 1)  asymmetric, min(x) <= 0

    Args:
        calibration: What `calibrate` returned.
        point: `OperatingPoint`; tensors in float there are left out.
    """
    return check_calibration(calibration).step_sizes(
        point,
        lambda tensor, bits: tensor.largest_step(bits),
        method="minmax",
    )
