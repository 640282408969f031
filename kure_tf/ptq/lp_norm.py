"""Step sizes with the smallest Lp norm of the quantization error."""

import numbers

import numpy as np

from kure_tf.ops.step_search import best_step_sizes
from kure_tf.ptq.calibration import check_calibration
from kure_tf.settings import StepSizes


def lp_norm(calibration, point, *, p=2.0) -> StepSizes:
    """Returns the step sizes with the smallest mean |x - Q(x)|^p.

    p = 2 is the mean squared error (KURE paper, Eq. 2). Each tensor, or each
    output channel, is searched on its own. For an asymmetric grid both ends of
    the clipping range move in proportion.

    Args:
        calibration: What `calibrate` returned.
        point: `OperatingPoint`; tensors in float there are left out.
        p: The norm, positive. Infinity is the max norm: the largest error.

    Raises:
        ValueError: If `p` is not positive.
    """
    check_norm(p)

    def step_size_of(tensor, bits):
        return best_step_sizes(
            tensor.values,
            tensor.largest_step(bits),
            tensor.levels_at(bits),
            tensor.quantizer.grid.offset,
            p,
        )

    # JSON has no infinity.
    noted = float(p) if np.isfinite(p) else "inf"
    return check_calibration(calibration).step_sizes(
        point, step_size_of, method="lp_norm", p=noted
    )


def check_norm(p):
    """Raises a ValueError unless `p` is a positive number, or infinity."""
    if not isinstance(p, numbers.Real) or not p > 0:
        raise ValueError(f"Expected a positive norm p. Received: {p!r}.")
