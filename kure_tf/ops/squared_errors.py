"""Squared errors of many rows of values, at many step sizes each.

XLA makes one loop of what NumPy does in five passes, in a quarter of the time.
It compiles for each shape, so values and step sizes are put into one shape, of
a size at which that loop is quickest.
"""

import numpy as np
import tensorflow as tf

_PARTS = 4  # At work in one call: to call takes as long as a part does.
_PIECES = 1 << 10  # Pieces of rows in a part,
_WIDTH = 1 << 6  # values in a piece,
_STEPS = 24  # and step sizes that a part looks at.

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
    height = _PIECES // pieces
    windows = [
        (slice(row, row + height), slice(step, step + _STEPS))
        for row in range(0, len(rows), height)
        for step in range(0, step_sizes.shape[1], _STEPS)
    ]
    sums = np.empty(step_sizes.shape)
    for first in range(0, len(windows), _PARTS):
        some = windows[first : first + _PARTS]
        values, scales = _filled(rows, step_sizes, some, pieces)
        found = _sums_of(values, scales, levels, offset)
        for window, of_pieces in zip(some, found, strict=False):
            count, steps = sums[window].shape
            of_pieces = of_pieces[: count * pieces, :steps]
            of_rows = of_pieces.reshape(count, pieces, steps)
            sums[window] = of_rows.sum(axis=1, dtype=np.float64)
    # What fills up the last piece of a row is zeros.
    zero = -offset - np.clip(np.rint(-offset), *levels)
    return (sums - (pieces * _WIDTH - size) * zero**2) / size


def _filled(rows, step_sizes, windows, pieces):
    """Returns the values and scales of some windows, in the one shape."""
    values = np.zeros((_PARTS, _PIECES, _WIDTH), np.float32)
    scales = np.ones((_PARTS, _PIECES, _STEPS), np.float32)
    for part, window in enumerate(windows):
        count, steps = step_sizes[window].shape
        flat = values[part, : count * pieces].reshape(count, -1)
        flat[:, : rows.shape[1]] = rows[window[0]]
        inverse = np.repeat(1 / step_sizes[window], pieces, axis=0)
        scales[part, : count * pieces, :steps] = inverse
    return values, scales


def _sums_of(values, scales, levels, offset):
    # On a GPU the last bits, and so the steps found, would be others.
    with tf.device("CPU:0"):
        return _sums(values, scales, *np.float32([*levels, offset])).numpy()


@tf.function(jit_compile=True)
def _sums(values, scales, low, high, offset):
    def of_part(given):
        v = given[0][:, :, tf.newaxis] * given[1][:, tf.newaxis] - offset
        errors = v - tf.clip_by_value(tf.round(v), low, high)
        return tf.reduce_sum(errors * errors, axis=1)

    return tf.map_fn(of_part, (values, scales), fn_output_signature=tf.float32)
