"""Kurtosis, the fourth standardized moment, with a closed-form gradient."""

import numpy as np
import tensorflow as tf


def kurtosis(x, axis=None) -> tf.Tensor:
    """Returns the kurtosis of `x`: its fourth standardized moment.

        Kurt[X] = E[((X - mu) / sigma)^4]              (KURE paper, Eq. 13)

    Kurtosis measures the shape of a distribution and nothing else: shifting or
    scaling `x` leaves it unchanged. A uniform distribution has 1.8, a normal
    one 3, a Laplace one 6. It equals `scipy.stats.kurtosis(x, axis,
    fisher=False)`: the variance is the biased one (divided by n).

    The gradient is computed in closed form, which is several times faster than
    differentiating the formula step by step. With d = x - mu and m_k the mean
    of d^k over the n elements of a sample,

        dK/dx = 4 / (n m_2^2) (d^3 - m_3 - d m_4 / m_2)

    Args:
        x: Floating-point tensor of any shape, for instance a convolution
            kernel `[height, width, in, out]`.
        axis: The axis, or a tuple of axes, whose elements form one sample;
            negative ones count from the end. None: all elements of `x` are
            one sample.

    Returns:
        Tensor of the shape of `x` without `axis` (a scalar for None),
        dimensionless, of dtype float32 or wider. It is 0, with zero gradient,
        where all elements are equal up to rounding (float32: a standard
        deviation below 1e-5 of the mean, or below 1e-8). A NaN or infinity
        in `x`, or a sample without elements, gives NaN; deviations from the
        mean whose fourth power leaves the range of the dtype (float32: above
        about 1e8, and what rounding leaves of them where values are beyond
        1e24) give NaN or infinity, with a gradient that is NaN.

    Raises:
        TypeError: If `x` is not floating-point.
        ValueError: If `x` has no such `axis`, or `axis` names one twice.

    Example:
        >>> round(float(kurtosis(tf.linspace(-3.0, 7.0, 10_001))), 3)
        1.8
    """
    x = tf.convert_to_tensor(x)
    if not x.dtype.is_floating:
        raise TypeError(
            "Expected a floating-point tensor. Received one of dtype "
            f"{x.dtype.name}. Cast it first: tf.cast(x, tf.float32)."
        )
    if x.dtype.size < 4:
        x = tf.cast(x, tf.float32)  # Fourth powers overflow float16 at 16.
    if axis is None:
        return _kurtosis_of_all(tf.reshape(x, [-1]))
    return _kurtosis_of_rows(_samples_last(x, axis))


def _samples_last(x, axis):
    """Returns `x` with the elements of each sample side by side, at the end.

    TensorFlow sums along other axes one by one: a million float32 values lose
    four of their seven digits there.
    """
    axes = np.lib.array_utils.normalize_axis_tuple(axis, x.shape.rank)
    kept = [i for i in range(x.shape.rank) if i not in axes]
    x = tf.transpose(x, [*kept, *axes])
    shape = tf.shape(x)
    count = tf.reduce_prod(shape[len(kept) :], keepdims=True)
    return tf.reshape(x, tf.concat([shape[: len(kept)], count], 0))


@tf.custom_gradient
def _kurtosis_of_all(x):
    # The tensors are larger than the cache, so passes over them are what
    # costs: forward writes one temporary, and l2_loss reads without writing.
    count = tf.cast(tf.size(x), x.dtype)
    mean = tf.reduce_mean(x)
    d2 = tf.math.squared_difference(x, mean)
    m2 = tf.reduce_mean(d2)
    m4 = 2.0 * tf.nn.l2_loss(d2) / count
    value, factor, ratio = _value_and_slope(mean, m2, m4, count)

    def gradient(upstream):
        d = (x - mean) * (upstream * factor)
        slope = (d2 - ratio) * d
        return slope - tf.reduce_mean(slope)  # The mean is the term with m_3.

    return value, gradient


@tf.custom_gradient
def _kurtosis_of_rows(x):
    def mean_of(t):
        return tf.reduce_mean(t, -1, keepdims=True)

    mean = mean_of(x)
    d2 = tf.math.squared_difference(x, mean)
    m2, m4 = mean_of(d2), mean_of(tf.square(d2))
    count = tf.cast(tf.shape(x)[-1], x.dtype)
    value, factor, ratio = _value_and_slope(mean, m2, m4, count)

    def gradient(upstream):
        d = (x - mean) * (upstream[..., tf.newaxis] * factor)
        slope = (d2 - ratio) * d
        return slope - mean_of(slope)

    return tf.squeeze(value, -1), gradient


def _value_and_slope(mean, m2, m4, count):
    """Returns K = m4 / m2^2, 4 / (n m2^2) and m4 / m2; 0 if constant."""
    # The mean of many equal values is off by up to 40 machine epsilons, which
    # is all that the deviations then consist of. And below the floor, m2^2
    # would leave the range of the dtype. At the other end of the range an
    # infinite m2 is no sign of equal values.
    finfo = np.finfo(mean.dtype.as_numpy_dtype)
    rounding = tf.square(mean * (10.0 * float(finfo.resolution)))
    floor = float(finfo.tiny) ** 0.5 * 1e3
    constant = m2 <= tf.clip_by_value(rounding, floor, float(finfo.max))
    # The inner `where` keeps a division by zero out of the unused branch.
    safe = tf.where(constant, tf.ones_like(m2), m2)
    square = tf.square(safe)
    slope = m4 / square, 4.0 / (count * square), m4 / safe
    return tuple(tf.where(constant, tf.zeros_like(m2), t) for t in slope)
