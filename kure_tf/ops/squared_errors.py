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
    count = _PIECES // pieces
    parts = [
        (slice(row, row + count), slice(step, step + _STEPS))
        for row in range(0, len(rows), count)
        for step in range(0, step_sizes.shape[1], _STEPS)
    ]
    sums = np.empty(step_sizes.shape)
    for first in range(0, len(parts), _PARTS):
        some = parts[first : first + _PARTS]
        filled = _filled(
            [(rows[part[0]], step_sizes[part]) for part in some], pieces
        )
        for part, found in zip(
            some, _sums_of(*filled, levels, offset), strict=False
        ):
            count, steps = sums[part].shape
            found = found[: count * pieces, :steps].reshape(count, pieces, -1)
            sums[part] = found.sum(axis=1, dtype=np.float64)
    # What fills up the last piece of a row is zeros.
    zero = -offset - np.clip(np.rint(-offset), *levels)
    return (sums - (pieces * _WIDTH - size) * zero**2) / size


def _filled(parts, pieces):
    """Returns values and scales of `(rows, step sizes)`, in the one shape."""
    values = np.zeros((_PARTS, _PIECES, _WIDTH), np.float32)
    scales = np.ones((_PARTS, _PIECES, _STEPS), np.float32)
    for part, (rows, step_sizes) in enumerate(parts):
        height, steps = len(rows) * pieces, step_sizes.shape[1]
        flat = values[part, :height].reshape(len(rows), -1)
        flat[:, : rows.shape[1]] = rows
        scales[part, :height, :steps] = np.repeat(1 / step_sizes, pieces, 0)
    return values, scales


def _sums_of(values, scales, levels, offset):
    # On a GPU the last bits, and so the steps found, would be others.
    with tf.device("CPU:0"):
        return _sums(values, scales, *np.float32([*levels, offset])).numpy()


@tf.function(jit_compile=True)
def _sums(values, scales, low, high, offset):
    def of_part(part):
        v = part[0][:, :, tf.newaxis] * part[1][:, tf.newaxis] - offset
        errors = v - tf.clip_by_value(tf.round(v), low, high)
        return tf.reduce_sum(errors * errors, axis=1)

    return tf.map_fn(of_part, (values, scales), fn_output_signature=tf.float32)
