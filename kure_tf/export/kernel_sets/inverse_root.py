"""1 / sqrt(x) in whole numbers, as TFLite's kernels compute it."""

import functools

import numpy as np

from kure_tf.export.kernel_sets.fixed_point import (
    multiplier_of,
    twice_half_away,
)

_SHIFT = 20  # Of the inverse root, before it is scaled.
_ONE = 1 << 28  # Numbers below 8 have 28 bits behind the point.
_HALF_ROOT_2 = 1518500250  # sqrt(2) / 2 in 31 bits behind the point.
_ITERATIONS = 5


def inverse_root_table(x, y) -> np.ndarray:
    """Returns the codes that RSQRT makes of the codes -128..127.

    Below the zero point there is no root: the kernels refuse such a code.

    Args:
        x, y: `Quantization` of its input and of its output.
    """
    levels = np.clip(np.arange(-128, 128) - x.zero_point, 0, 255)
    root = np.sqrt(np.float32(x.scale)) * np.float32(y.scale)
    q, exponent = multiplier_of(1.0 / np.float64(root))
    scaled = twice_half_away(_inverse_roots()[levels], (q, exponent - _SHIFT))
    codes = np.clip(np.asarray(scaled) + y.zero_point, -128, 127)
    return np.where(levels == 0, 127, codes).astype(np.int8)


@functools.cache
def _inverse_roots():
    """Returns 2^20 / sqrt(n) for n = 0..255, as the iteration leaves it."""
    return np.array([0, 1 << _SHIFT, *map(_inverse_root, range(2, 256))])


def _inverse_root(n):
    """Newton's iteration: x = (3 x - a x^3) / 2 for a = 4^k n below 8."""
    pairs = (32 - n.bit_length() - 1) // 2 - 1
    a = n << 2 * pairs >> 1
    half_a, x = (a + 1) >> 1, _ONE
    for _ in range(_ITERATIONS):
        cube = _high(_high(x, x), x) << 6
        x = (_high(3 * _ONE // 2, x) - _high(half_a, cube)) << 3
    x = _high(x, _HALF_ROOT_2)
    return _high(1 << _SHIFT - 11 + pairs, x)


def _high(a, b):
    """Returns a b / 2^31 of whole numbers, halves up."""
    return (a * b + (1 << 30)) >> 31
