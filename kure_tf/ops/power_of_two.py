"""Powers of two near a step size: a rescaling that is a shift of bits."""

import numpy as np

from kure_tf.ops.checks import check_choice

ROUNDINGS = ("nearest", "up")

# A power of two that float64 arithmetic moved by a rounding is one still.
_SLACK = 1e-9


def power_of_two(step_size, rounding="nearest"):
    """Returns step sizes rounded to powers of two, as float64.

    Args:
        step_size: Positive array.
        rounding: "nearest" in the logarithm (2^0.5 is half-way from 1 to 2),
            or "up" to the next larger one.

    Raises:
        ValueError: If there is no such rounding.

    Example:
        >>> power_of_two([0.25, 0.3, 0.4]), power_of_two([0.25, 0.3], "up")
        (array([0.25, 0.25, 0.5 ]), array([0.25, 0.5 ]))
    """
    check_choice("a rounding", rounding, ROUNDINGS)
    exponent = np.log2(np.asarray(step_size, np.float64))
    up = rounding == "up"
    exponent = np.ceil(exponent - _SLACK) if up else np.round(exponent)
    return 2.0**exponent
