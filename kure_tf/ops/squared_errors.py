"""Squared errors of many rows of values, at many step sizes each.

XLA makes one loop of what NumPy does in five passes, in a quarter of the time.
It compiles for each shape, so values and step sizes are put into three shapes,
of a size at which that loop is quickest.
"""

import numpy as np
import tensorflow as tf

_WIDTH = 1 << 6  # Values of a piece of a row,
_PIECES = 1 << 10  # pieces at work at a time,
_STEPS = 48  # step sizes at a time,
_LANES = 1 << 4  # and what their number is a multiple of.

LONGEST = _WIDTH * _PIECES
"""Values that a row may have."""


def mean_squared_errors(rows, step_sizes, levels, offset=0.0) -> np.ndarray:
    """Returns E(x/s - offset - code)^2 of each row at each of its step sizes.

    Args:
        rows: Float32 array `[rows, n]`, finite, n up to `LONGEST`.
        step_sizes: Array `[rows, s]`, positive.
        levels: `(low, high)`: codes are whole numbers from low to high.
        offset: Shift of the levels in steps.

    Returns:
        Float64 array `[rows, s]`, in squared steps.
    """
    size = rows.shape[1]
    pieces = -(-size // _WIDTH)
    sums = np.empty(step_sizes.shape)
    count = _PIECES // pieces
    # On a GPU the last bits, and so the steps found, would be others.
    with tf.device("CPU:0"):
        grid = [tf.constant(x, tf.float32) for x in (*levels, offset)]
        for start in range(0, len(rows), count):
            some = slice(start, start + count)
            scales = np.repeat(1 / step_sizes[some], pieces, axis=0)
            found = _sums_of(_in_pieces(rows[some], pieces), scales, grid)
            found = found.reshape(-1, pieces, sums.shape[1])
            sums[some] = found.sum(axis=1, dtype=np.float64)
    # What fills up the last piece of a row is zeros.
    zero = -offset - np.clip(np.rint(-offset), *levels)
    return (sums - (pieces * _WIDTH - size) * zero**2) / size


def _in_pieces(rows, pieces):
    values = np.zeros((_PIECES, _WIDTH), np.float32)
    filled = values[: len(rows) * pieces].reshape(len(rows), -1)
    filled[:, : rows.shape[1]] = rows
    return tf.constant(values)


def _sums_of(values, scales, grid):
    count, steps = scales.shape
    filled = np.ones((_PIECES, steps + -steps % _LANES), np.float32)
    filled[:count, :steps] = scales
    parts = [
        _sums(values, tf.constant(filled[:, first : first + _STEPS]), *grid)
        for first in range(0, steps, _STEPS)
    ]
    return np.concatenate(parts, axis=1)[:count, :steps]


@tf.function(jit_compile=True)
def _sums(values, scales, low, high, offset):
    v = values[:, :, tf.newaxis] * scales[:, tf.newaxis] - offset
    errors = v - tf.clip_by_value(tf.round(v), low, high)
    return tf.reduce_sum(errors * errors, axis=1)
