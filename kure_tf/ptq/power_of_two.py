"""Power-of-two step sizes: another method's steps, rounded or searched."""

import numpy as np

from kure_tf.ops.power_of_two import power_of_two
from kure_tf.ptq.lp_norm import lp_norm
from kure_tf.settings import StepSizes


def pow2_nearest(calibration, point, *, method=lp_norm) -> StepSizes:
    """Returns a method's steps, each rounded to the nearest power of two.

    Nearest in the logarithm (KURE paper, Table A.5, which does not say how it
    rounds). The operating point "4/4 pow2" does the same to the step sizes
    that a model has.

    Args:
        calibration: What `calibrate` returned.
        point: `OperatingPoint`; tensors in float there are left out.
        method: The PTQ method whose steps are rounded.
    """
    return _powers(calibration, point, method, "nearest")


def pow2_up(calibration, point, *, method=lp_norm) -> StepSizes:
    """Returns a method's steps, each rounded up to a power of two.

    A step that is too large costs less than one that clips. The operating
    point "4/4 pow2-up" does the same to the step sizes that a model has.

    Args:
        calibration, point, method: As for `pow2_nearest`.
    """
    return _powers(calibration, point, method, "up")


def pow2_search(calibration, point, *, method=lp_norm) -> StepSizes:
    """Returns the powers of two near a method's steps with the smallest MSE.

    For each tensor, or each output channel, the power of two nearest to the
    step that `method` gives, its half and its double are compared by
    E[(x - Q(x))^2] over the tensor's values. The error is no larger than that
    of `pow2_nearest` and `pow2_up`.

    Args:
        calibration, point: As for `pow2_nearest`.
        method: The PTQ method around whose steps the search goes.
    """
    return _powers(calibration, point, method, "search")


def _powers(calibration, point, method, how):
    given = method(calibration, point)

    def step_size_of(tensor, bits):
        # In the unit of the weights, which is what a device shifts by.
        found = given.tensors[tensor.path].step_size.reshape(-1)
        steps = found.astype(np.float64) * tensor.unit
        if how != "search":
            return power_of_two(steps, how) / tensor.unit
        nearest = power_of_two(steps, "nearest") / tensor.unit
        return tensor.best_of(np.outer(nearest, [0.5, 1.0, 2.0]), bits)

    own = getattr(method, "__name__", "own")
    facts = {"method": f"pow2_{how}", "of": given.provenance.get("method", own)}
    return calibration.step_sizes(
        point, step_size_of, **{**given.provenance, **facts}
    )
