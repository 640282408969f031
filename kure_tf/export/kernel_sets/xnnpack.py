"""XNNPACK's kernels, those of the interpreter's default resolver."""

import functools

import numpy as np
import tensorflow as tf

from kure_tf.export.kernel_sets.built_in import BuiltIn
from kure_tf.export.kernel_sets.fused import fused
from kure_tf.export.kernel_sets.pairs import TABLES, look_up, pair_table
from kure_tf.export.kernel_sets.tables import xnnpack_table_of


class XNNPack(BuiltIn):
    """How XNNPACK rounds; see `BuiltIn`.

    Convolutions with weights of less than 8 bits run on TFLite's own kernels.
    """

    def linear(self, sums, operator, x, y):
        low_bit = operator.weights.container < 8
        if low_bit and operator.kind != "FULLY_CONNECTED":
            return super().linear(sums, operator, x, y)
        scales = np.float32(x.scale) * operator.weights.scales
        return _rounded(sums, scales / np.float32(y.scale))

    def matrix_product(self, sums, x, y):
        """Those whose second factor has a zero point run on TFLite's own."""
        if x[1].zero_point != 0:
            return super().matrix_product(sums, x, y)
        product = np.float32(x[0].scale) * np.float32(x[1].scale)
        return _rounded(sums, product / np.float32(y.scale))

    def multiply(self, levels, x, y):
        return look_up(_products(*x, y), levels, x)

    def add(self, levels, x, y):
        return look_up(_sums(*x, y, 1), levels, x)

    def subtract(self, levels, x, y):
        return look_up(_sums(*x, y, -1), levels, x)

    def mean(self, sums, count, x, y):
        """In float32, with the zero points: these are means of codes."""
        ratio = np.float32(x.scale) / np.float32(y.scale)
        ratio = ratio * (np.float32(1) / np.float32(count))
        all_zeros = np.float32(count * x.zero_point)
        zero_point = np.float32(y.zero_point) - all_zeros * ratio
        codes = tf.cast(sums + count * x.zero_point, tf.float32) * ratio
        return tf.round(codes + zero_point) - y.zero_point

    def leaky_relu(self, levels, slope, x, y):
        """Multipliers of 8 bits after the point; halves up."""
        above = np.float32(x.scale) / np.float32(y.scale)
        below = above * np.float32(slope)
        if not 2.0**-8 <= below <= above <= 2.0**7:
            return super().leaky_relu(levels, slope, x, y)
        by = np.rint(np.float32(256) * np.float32([below, above]))
        product = levels * tf.where(levels < 0, by[0], by[1])
        return tf.floor((product + 128) / 256)

    def table(self, kind, x, y):
        if kind in ("ELU", "LOGISTIC", "TANH"):
            return xnnpack_table_of(kind, x, y)
        return super().table(kind, x, y)  # XNNPACK has none.

    def enlarge(self, codes, factors):
        """With fractions of 11 bits; halves up."""
        between = tf.cast(codes, tf.float64)
        for axis, factor in zip((1, 2), factors, strict=True):
            first, second, share = _neighbours(between.shape[axis], factor)
            shape = [-1 if one == axis else 1 for one in range(4)]
            a = tf.gather(between, first, axis=axis)
            b = tf.gather(between, second, axis=axis)
            between = a * 2048 + (b - a) * share.reshape(shape)
        return tf.floor(between / 2**22 + 0.5)


@functools.lru_cache(TABLES)
def _products(a, b, y):
    """Returns the table of products of two values."""
    scale = np.float32(a.scale) * np.float32(b.scale)
    ratio = scale / np.float32(y.scale)
    return pair_table(lambda pair: _rounded(pair[0] * pair[1], ratio), (a, b))


@functools.lru_cache(TABLES)
def _sums(a, b, y, sign):
    """Returns the table of a + sign * b: multipliers of 21 bits, halves up."""
    ratios = [np.float32(one.scale) / np.float32(y.scale) for one in (a, b)]
    shift = 20 - int(np.floor(np.log2(max(ratios))))
    by_a, by_b = np.rint(np.float64(ratios) * 2.0**shift)

    def of_pair(pair):
        total = pair[0] * by_a + sign * pair[1] * by_b
        return np.floor(total * 2.0**-shift + 0.5)  # Float64 holds it all.

    return pair_table(of_pair, (a, b))


def _neighbours(count, factor):
    """Returns the two pixels around each new one, and the second's share."""
    wanted = count * factor
    step = np.float32(count) / np.float32(wanted)
    places = (np.arange(wanted, dtype=np.float32) + np.float32(0.5)) * step
    places = np.clip(places - np.float32(0.5), 0, np.float32(count - 1))
    first = places.astype(int)
    second = np.minimum(first + 1, count - 1)
    return first, second, np.rint((places - first) * 2048)


@fused
def _rounded(x, ratio):
    """Returns x * ratio, in float32, rounded half to even."""
    return tf.round(tf.cast(x, tf.float32) * ratio)
