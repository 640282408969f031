"""Squared errors of many rows of values, at many step sizes each.

XLA makes one loop of what NumPy does in five passes, in a quarter of the time.
It compiles for each shape, so values and step sizes are put into one shape, of
a size at which that loop is quickest.
"""

import numpy as np
import tensorflow as tf

_PIECES = 1 << 13  # Pieces of rows in a call,
_WIDTH = 1 << 5  # values in a piece,
_STEPS = 1 << 5  # and step sizes that it is looked at with.

LONGEST = _WIDTH * _PIECES
"""Values that a row may have."""

SHORTEST = _WIDTH // 2
"""Values below which a row fills too little of a piece to pay."""

FEWEST = _STEPS // 2
"""Step sizes that pay, for the same reason."""


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
    count, size = rows.shape
    values = _in_pieces(rows, _WIDTH, 0.0)
    scales = _in_pieces(1 / step_sizes, _STEPS, 1.0)
    pieces, windows = values.shape[1], scales.shape[1]
    # Each row is looked at through each window of its step sizes.
    jobs = count * windows
    found = np.empty((jobs, _STEPS))
    at_once = _PIECES // pieces
    for first in range(0, jobs, at_once):
        row, window = np.divmod(
            np.arange(first, min(first + at_once, jobs)), windows
        )
        sums = _sums_of(values[row], scales[row, window], levels, offset)
        found[first : first + at_once] = sums
    sums = found.reshape(count, -1)[:, : step_sizes.shape[1]]
    # What fills up the last piece of a row is zeros.
    zero = -offset - np.clip(np.rint(-offset), *levels)
    return (sums - (pieces * _WIDTH - size) * zero**2) / size


def _in_pieces(rows, width, filler):
    """Returns `[rows, pieces, width]`, the last piece filled up."""
    count, size = rows.shape
    pieces = -(-size // width)
    cut = np.full((count, pieces * width), filler, np.float32)
    cut[:, :size] = rows
    return cut.reshape(count, pieces, width)


def _sums_of(values, scales, levels, offset):
    """Returns the sums of `[jobs, pieces, width]` at `[jobs, steps]` scales."""
    jobs, pieces, _ = values.shape
    used = jobs * pieces
    of_jobs = np.zeros((_PIECES, _WIDTH), np.float32)
    of_jobs[:used] = values.reshape(used, _WIDTH)
    at = np.ones((_PIECES, _STEPS), np.float32)
    at[:used] = np.repeat(scales, pieces, axis=0)
    # On a GPU the last bits, and so the steps found, would be others.
    with tf.device("CPU:0"):
        sums = _sums(of_jobs, at, *np.float32([*levels, offset])).numpy()
    sums = sums[:used].reshape(jobs, pieces, _STEPS)
    return sums.sum(axis=1, dtype=np.float64)


@tf.function(jit_compile=True, autograph=False)
def _sums(values, scales, low, high, offset):
    v = values[..., tf.newaxis] * scales[..., tf.newaxis, :] - offset
    errors = v - tf.clip_by_value(tf.round(v), low, high)
    return tf.reduce_sum(errors * errors, axis=-2)
