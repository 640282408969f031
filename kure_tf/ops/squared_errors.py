"""Squared errors of many rows of values, at many step sizes each.

XLA makes one loop of what NumPy does in five passes, in a quarter of the time.
It compiles for each shape, so values and step sizes are put into one shape, of
a size at which that loop is quickest.
"""

import functools

import numpy as np
import tensorflow as tf

_PIECES = 1 << 12  # Pieces of rows in a call,
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
    scales = scales.reshape(-1, 1, _STEPS)
    jobs = len(scales)
    at_once = _PIECES // pieces
    grid = np.float32([*levels, offset])
    all_values = np.zeros((_PIECES, _WIDTH), np.float32)
    all_scales = np.ones((_PIECES, _STEPS), np.float32)
    found = np.empty((jobs, _STEPS))
    for first in range(0, jobs, at_once):
        some = slice(first, min(first + at_once, jobs))
        used = (some.stop - first) * pieces
        row = np.arange(first, some.stop) // windows
        shape = (len(row), pieces, -1)
        np.take(
            values, row, 0, out=all_values[:used].reshape(shape), mode="clip"
        )
        all_scales[:used].reshape(shape)[:] = scales[some]
        sums = _sums(all_values, all_scales, grid)[:used].reshape(shape)
        found[some] = _sums_of_pieces(sums)
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


def _sums_of_pieces(sums):
    """Returns the sums along axis 1, in float64 where they are many."""
    count = sums.shape[1]
    if count > 2:
        return sums.sum(axis=1, dtype=np.float64)
    return sums[:, 0] + sums[:, 1] if count == 2 else sums[:, 0]


def _sums(values, scales, grid):
    """Returns the sums of `[pieces, width]` at `[pieces, steps]` scales."""
    # On a GPU the last bits, and so the steps found, would be others.
    with tf.device("CPU:0"):
        tensors = [tf.constant(x) for x in (values, scales, grid)]
        return _compiled()(*tensors).numpy()


@functools.cache
def _compiled():
    """Returns the loop, traced: finding the trace takes as long as a call."""

    @tf.function(jit_compile=True, autograph=False)
    def sums(values, scales, grid):
        v = values[..., tf.newaxis] * scales[..., tf.newaxis, :] - grid[2]
        errors = v - tf.clip_by_value(tf.round(v), grid[0], grid[1])
        return tf.reduce_sum(errors * errors, axis=-2)

    shapes = (_PIECES, _WIDTH), (_PIECES, _STEPS), (3,)
    return sums.get_concrete_function(*map(tf.TensorSpec, shapes))
