"""What numerics accept from their callers: numbers, finite ones, positive."""

import numpy as np


def check_numbers(name, values):
    """Returns `values` as a float64 array of any shape.

    Raises:
        TypeError: If they are not real numbers.
        ValueError: If one is not finite.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"Expected {name} in numbers. Received: {values!r}.")
    array = array.astype(np.float64)
    if not np.all(np.isfinite(array)):
        raise ValueError(f"Expected {name} to be finite. Received: {values!r}.")
    return array


def check_positive(name, values):
    """Like `check_numbers`, and refuses what is not above zero."""
    array = check_numbers(name, values)
    if not np.all(array > 0):
        raise ValueError(
            f"Expected {name} to be positive. Received: {values!r}."
        )
    return array
