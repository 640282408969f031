"""TFLite's own optimized kernels."""

import functools

import numpy as np
import tensorflow as tf

from kure_tf.export.kernel_sets.fixed_point import (
    code_half_away,
    code_half_up,
    multiplier_of,
    shifted_first,
    twice_half_away,
)
from kure_tf.export.kernel_sets.inverse_root import inverse_root_table
from kure_tf.export.kernel_sets.pairs import TABLES, look_up, pair_table
from kure_tf.export.kernel_sets.tables import table_of


class BuiltIn:
    """How TFLite's own optimized kernels round.

    Levels are codes minus their zero point. Every method takes and returns
    tensors of whole numbers, of any dtype that holds them; what it returns is
    not clipped yet. `x` is the `Quantization` of the input, or both, and `y`
    that of the output.
    """

    def linear(self, sums, operator, x, y):
        """Returns the levels of sums of a convolution or dense layer.

        Args:
            sums: Products and biases, in units of x.scale * weights.scales.
            operator: The `Operator`.
        """
        multiplier = weights_multiplier(operator, x, y)
        if operator.options.get("groups", 1) > 1:  # The reference kernel.
            return code_half_away(sums, multiplier)
        count = sums.shape[-1]
        one_by_one = operator.kind in ("DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
        if not one_by_one or count % 8 == 0:
            return code_half_up(sums, multiplier)
        # Eight channels at a time; those left over are done one by one.
        return tf.where(
            np.arange(count) < count // 8 * 8,
            code_half_up(sums, multiplier),
            code_half_away(sums, multiplier),
        )

    def matrix_product(self, sums, x, y):
        """Returns the levels of sums of products of two values.

        Args:
            sums: In units of x[0].scale * x[1].scale.
        """
        product = np.float32(x[0].scale) * np.float32(x[1].scale)
        ratio = np.float64(product) / y.scale
        return code_half_away(sums, multiplier_of(ratio))

    def multiply(self, levels, x, y):
        """Returns the levels of the product of two values."""
        return look_up(_products(*x, y), levels, x)

    def add(self, levels, x, y):
        """Returns the levels of the sum of two values of one shape."""
        together = sum_of(levels, x, y, shifted_first)
        size = tf.size(together)
        if size % 16 == 0:
            return together
        # Sixteen at a time; those left over are done one by one.
        return tf.where(
            tf.reshape(tf.range(size) < size // 16 * 16, together.shape),
            together,
            sum_of(levels, x, y, twice_half_away),
        )

    def subtract(self, levels, x, y):
        """Returns the levels of the difference of two values."""
        return sum_of(levels, x, y, twice_half_away, sign=-1)

    def mean(self, sums, count, x, y):
        """Returns the levels of means.

        Args:
            sums: Sums of `count` levels.
            count: Integer.
        """
        q, exponent = multiplier_of(x.scale / y.scale)
        shift = min(count.bit_length() - 1, 32, 31 + int(exponent))
        multiplier = (np.int64(q) << shift) // count, exponent - shift
        return twice_half_away(sums, multiplier)

    def softmax(self, levels, x):
        """Returns probabilities in 1/256, computed in float32."""
        below = np.float32(-x.scale) * np.arange(256, dtype=np.float32)
        # NumPy's own exponential of float32 is off by more than half a bit.
        table = np.exp(np.float64(below)).astype(np.float32)
        levels = np.asarray(levels)
        places = levels.max(-1, keepdims=True) - levels
        powers = table[places.astype(int)]
        # One after the other: float32 sums depend on the order.
        total = np.add.accumulate(powers, -1)[..., -1:]
        scaled = powers * (np.float32(1) / (total * np.float32(1 / 256)))
        return tf.constant(np.floor(np.float64(scaled) + 0.5))

    def leaky_relu(self, levels, slope, x, y):
        """Returns levels, the negative ones times `slope`."""
        x_scale, y_scale = np.float32(x.scale), np.float32(y.scale)
        below = multiplier_of(x_scale * np.float32(slope) / y_scale)
        above = multiplier_of(x_scale / y_scale)
        return tf.where(
            levels < 0,
            twice_half_away(levels, below),
            twice_half_away(levels, above),
        )

    def prelu(self, levels, slopes, x, y):
        """Returns levels, the negative ones times `slopes`, in whole numbers.

        Args:
            slopes: Levels of the slopes.
            x: `Quantization` of the levels and of the slopes.
        """
        ratio = np.float64(x[0].scale) / y.scale
        return tf.where(
            levels < 0,
            twice_half_away(levels * slopes, multiplier_of(ratio * x[1].scale)),
            twice_half_away(levels, multiplier_of(ratio)),
        )

    def table(self, kind, x, y):
        """Returns the codes that a function makes of the codes -128..127."""
        if kind == "RSQRT":
            return inverse_root_table(x, y)
        return table_of(kind, x, y)

    def enlarge(self, codes, factors):
        """Returns codes between those of a picture, by 10-bit fractions."""
        between = tf.cast(codes, tf.int64)
        for axis, factor in zip((1, 2), factors, strict=True):
            first, second, share = _neighbours(between.shape[axis], factor)
            shape = [-1 if one == axis else 1 for one in range(4)]
            share = share.reshape(shape)
            between = tf.gather(between, first, axis=axis) * (1024 - share) + (
                tf.gather(between, second, axis=axis) * share
            )
        # Halves away from zero, where division truncates.
        magnitude = (tf.abs(between) + 2**19) // 2**20
        return tf.sign(between) * magnitude


def _neighbours(count, factor):
    """Returns the two pixels around each new one, and the second's share.

    Args:
        count: Number of pixels along an axis.
        factor: How many times as many there will be.
    """
    wanted = count * factor
    step = (1024 * count + wanted // 2) // wanted
    places = step * np.arange(wanted) + step // 2 - 512
    first = np.maximum(places, 0) // 1024
    second = np.minimum(np.maximum(places + 1023, 0) // 1024, count - 1)
    return first, second, places - 1024 * first


@functools.lru_cache(TABLES)
def _products(a, b, y):
    """Returns the table of products of two values."""
    ratio = np.float32(a.scale) * np.float32(b.scale)
    multiplier = multiplier_of(ratio / np.float32(y.scale))
    return pair_table(
        lambda pair: twice_half_away(pair[0] * pair[1], multiplier), (a, b)
    )


def sum_of(levels, x, y, scaled, sign=1):
    """Returns a + sign * b, added up in 2^-20 of twice the larger scale."""
    return look_up(_sums(*x, y, scaled, sign), levels, x)


@functools.lru_cache(TABLES)
def _sums(a, b, y, scaled, sign):
    twice = 2.0 * max(a.scale, b.scale)
    by_a, by_b = (multiplier_of(one.scale / twice) for one in (a, b))
    by_sum = multiplier_of(twice / (2.0**20 * y.scale))

    def of_pair(pair):
        first = scaled(pair[0] * 2**20, by_a)
        second = scaled(sign * pair[1] * 2**20, by_b)
        return twice_half_away(first + second, by_sum)

    return pair_table(of_pair, (a, b))


def weights_multiplier(operator, x, y):
    """Returns (x * weights) / y of a linear operator as a multiplier."""
    scales = operator.weights.scales
    if operator.kind == "FULLY_CONNECTED" and scales.size == 1:
        # Of one scale alone, TFLite has the product in float32.
        products = np.float32(x.scale) * scales
        return multiplier_of(products.astype(np.float64) / y.scale)
    return multiplier_of(x.scale * scales.astype(np.float64) / y.scale)
