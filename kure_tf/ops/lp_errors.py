"""The quantization errors of many rows, at many step sizes each."""

import numpy as np

from kure_tf.ops.lp_mean import lp_mean
from kure_tf.ops.squared_errors import (
    FEWEST,
    LONGEST,
    SHORTEST,
    mean_squared_errors,
)

_BLOCK = 1 << 17  # Numbers at work at a time: what the cache holds.
_SIDE_BY_SIDE = 1 << 9  # From so many on, NumPy's loops are quick.
_MUCH_WORK = 1 << 21  # Errors from which on it pays to compile their loop.


def lp_errors(rows, step_sizes, levels, offset=0.0, p=2.0) -> np.ndarray:
    """Returns (E|x - Q(x)|^p)^(1/p) of each row at each of its step sizes.

    Args:
        rows: Array `[rows, n]`, finite, not empty.
        step_sizes: Array `[rows, s]`, positive.
        levels: `(low, high)`, whole numbers.
        offset: Shift of the levels in steps.
        p: The norm, positive; infinity gives the largest error.

    Returns:
        Array `[rows, s]`, in the unit of the values.
    """
    rows = np.asarray(rows, np.float32)
    count = step_sizes.shape[1]
    compiled = p == 2 and rows.size * count >= _MUCH_WORK and count >= FEWEST
    if compiled and SHORTEST <= rows.shape[1] <= LONGEST:
        squares = mean_squared_errors(rows, step_sizes, levels, offset)
        return np.sqrt(squares) * step_sizes
    errors = np.empty(step_sizes.shape)
    for some in blocks(len(rows), rows.shape[1] * min(count, _SIDE_BY_SIDE)):
        values = np.ascontiguousarray(rows[some])
        for part in blocks(count, values.size):
            steps = step_sizes[some, part]
            v = _over(values, steps.astype(np.float32))
            if offset:
                v -= np.float32(offset)
            codes = np.rint(v)
            np.clip(codes, *np.float32(levels), out=codes)
            v -= codes
            errors[some, part] = lp_mean(v, p) * steps
    return errors


def blocks(count, size, numbers=_BLOCK):
    """Yields slices of `count` things of `size`, each of so many numbers."""
    length = max(1, numbers // size)
    for start in range(0, count, length):
        yield slice(start, start + length)


def _over(rows, steps):
    """Returns rows / steps, `[rows, s, n]`, with the longer axis side by side.

    NumPy goes through the last axis in memory as one, and takes as long to
    begin as for a hundred numbers.
    """
    if rows.shape[1] >= steps.shape[1]:
        return rows[:, np.newaxis] * (1 / steps)[..., np.newaxis]
    v = rows[..., np.newaxis] * (1 / steps)[:, np.newaxis]
    return np.swapaxes(v, 1, 2)
