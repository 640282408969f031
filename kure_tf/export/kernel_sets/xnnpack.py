"""XNNPACK's kernels, those of the interpreter's default resolver."""

import numpy as np
import tensorflow as tf

from kure_tf.export.kernel_sets.built_in import BuiltIn


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

    def multiply(self, products, x, y):
        scale = np.float32(x[0].scale) * np.float32(x[1].scale)
        return _rounded(products, scale / np.float32(y.scale))

    def add(self, levels, x, y):
        """Multipliers of 21 bits, halves up."""
        ratios = [np.float32(one.scale) / np.float32(y.scale) for one in x]
        shift = 20 - int(np.floor(np.log2(max(ratios))))
        a, b = (
            tf.cast(level, tf.float64) * np.rint(ratio * 2.0**shift)
            for level, ratio in zip(levels, np.float64(ratios), strict=True)
        )
        # Float64 holds it all, and is quicker than whole numbers.
        return tf.floor((a + b) * 2.0**-shift + 0.5)

    def subtract(self, levels, x, y):
        return self.add((levels[0], -levels[1]), x, y)

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


def _neighbours(count, factor):
    """Returns the two pixels around each new one, and the second's share."""
    wanted = count * factor
    step = np.float32(count) / np.float32(wanted)
    places = (np.arange(wanted, dtype=np.float32) + np.float32(0.5)) * step
    places = np.clip(places - np.float32(0.5), 0, np.float32(count - 1))
    first = places.astype(int)
    second = np.minimum(first + 1, count - 1)
    return first, second, np.rint((places - first) * 2048)


def _rounded(x, ratio):
    """Returns x * ratio, in float32, rounded half to even."""
    return tf.round(tf.cast(x, tf.float32) * ratio)
