"""TFLite's fixed-point multiplication, with its ways of rounding.

Ratios of scales are multipliers `(q, e)`: ratio = q / 2^31 * 2^e. Tensors hold
whole numbers, of any dtype; results are int64.
"""

import numpy as np
import tensorflow as tf

from kure_tf.export.kernel_sets.fused import fused


def multiplier_of(ratio):
    """Returns a ratio as a multiplier, as TFLite stores it.

    q is 0 where a ratio is so small that every product rounds to 0.

    Args:
        ratio: Float64 number or array, above 0.
    """
    fraction, exponent = np.frexp(np.asarray(ratio, np.float64))
    q = np.rint(fraction * 2.0**31).astype(np.int64)
    whole = q == 1 << 31
    q, exponent = np.where(whole, q // 2, q), exponent.astype(np.int64) + whole
    tiny = exponent < -31
    return np.where(tiny, 0, q), np.where(tiny, 0, exponent)


def twice_half_up(x, multiplier):
    """Returns x times a multiplier: to 2^e, then to a whole, halves up.

    As in ruy, which does the matrix products of TFLite's optimized kernels.
    """
    right = np.maximum(-multiplier[1], 0)
    return _shifted(_high(x, multiplier) + _half(right), right)


def twice_half_away(x, multiplier):
    """Likewise, the second time with halves away from zero.

    As in gemmlowp, which TFLite's reference kernels follow.
    """
    right = np.maximum(-multiplier[1], 0)
    high = _high(x, multiplier)
    negative = tf.cast(high < 0, tf.int64) * (right > 0)
    return _shifted(high - negative + _half(right), right)


def once_half_up(x, multiplier):
    """Returns x times a multiplier, rounded once, halves up."""
    q, exponent = multiplier
    return _shifted(_int64(x) * q + _half(31 - exponent), 31 - exponent)


def shifted_first(x, multiplier):
    """Returns x times a multiplier of e <= 0: shifted down, then rounded."""
    q, exponent = multiplier
    return _shifted(_shifted(_int64(x), -exponent) * q + _half(31), 31)


def code_half_up(x, multiplier):
    """Returns what `twice_half_up` does, for results that are clipped to int8.

    One floor does for two, since the sum inside the outer one is whole:

        floor((floor(z + 1/2) + h) / 2^r) = floor((z + 1/2 + h) / 2^r)

    with z = x q / 2^31 and h = 2^(r-1). Float64, quicker than int64, holds
    that exactly wherever the result is below 2^9.
    """
    if not _fits_float64(multiplier):
        return twice_half_up(x, multiplier)
    ratio, right = _ratio(multiplier)
    return _floor(x, ratio, (0.5 + _half(right)) / 2.0**right)


@fused
def _floor(x, ratio, offset):
    codes = tf.floor(tf.cast(x, tf.float64) * ratio + offset)
    return tf.cast(codes, tf.float32)


def code_half_away(x, multiplier):
    """Returns what `twice_half_away` does, where `code_half_up` would do."""
    if not _fits_float64(multiplier):
        return twice_half_away(x, multiplier)
    ratio, right = _ratio(multiplier)
    offset = (0.5 + _half(right)) / 2.0**right
    return _floor_away(x, ratio, offset, (right > 0) / 2.0**right)


@fused
def _floor_away(x, ratio, offset, one):
    """Likewise, less `one` where what is rounded first is below 0."""
    scaled = tf.cast(x, tf.float64) * ratio
    less = tf.where(scaled < -one / 2, one, tf.zeros_like(one))
    return tf.cast(tf.floor(scaled + offset - less), tf.float32)


def _fits_float64(multiplier):
    """Whether below 2^9 all parts of 2^-(31 + r) fit in 53 bits."""
    return np.min(multiplier[1]) >= 31 + 9 - 53


def _ratio(multiplier):
    """Returns a multiplier as float64, and how far r it shifts down."""
    q, exponent = multiplier
    return q / 2.0**31 * 2.0**exponent, np.maximum(-exponent, 0)


def _high(x, multiplier):
    """Returns the upper half of x 2^max(e, 0) times q, halves up."""
    q, exponent = multiplier
    # Both at once: TFLite shifts first, in 32 bits, which is enough for it.
    q = q << np.maximum(exponent, 0)
    return _shifted(_int64(x) * q + _half(31), 31)


def _int64(x):
    return tf.cast(x, tf.int64)


def _half(right):
    return (np.int64(1) << np.asarray(right, np.int64)) >> 1


def _shifted(x, right):
    return tf.bitwise.right_shift(x, tf.constant(right, tf.int64))
