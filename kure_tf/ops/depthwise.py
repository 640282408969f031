"""Depthwise convolutions with any strides."""

import tensorflow as tf


def depthwise_conv2d(x, kernel, strides, padding, dilation=(1, 1)) -> tf.Tensor:
    """Returns `tf.nn.depthwise_conv2d`, also where the two strides differ.

    TensorFlow has such a kernel for some processors alone. Elsewhere all
    places are computed, and those between the strides left out.

    Args:
        x: Tensor `[batch, height, width, channels]`.
        kernel: Tensor `[height, width, channels, multiplier]`.
        strides, dilation: Two numbers each.
        padding: "SAME" or "VALID".
    """
    rows, columns = strides
    if rows == columns:
        return tf.nn.depthwise_conv2d(
            x, kernel, [1, rows, columns, 1], padding, dilations=dilation
        )
    if padding == "SAME":
        pads = [
            _same(*sizes)
            for sizes in zip(
                x.shape[1:3], kernel.shape[:2], strides, dilation, strict=True
            )
        ]
        x = tf.pad(x, [(0, 0), *pads, (0, 0)])
    all_places = tf.nn.depthwise_conv2d(
        x, kernel, [1, 1, 1, 1], "VALID", dilations=dilation
    )
    return all_places[:, ::rows, ::columns]


def _same(size, window, stride, rate):
    """Returns how many zeros TensorFlow adds in front and behind."""
    count = -(-size // stride)
    missing = (count - 1) * stride + (window - 1) * rate + 1 - size
    missing = max(missing, 0)
    return missing // 2, missing - missing // 2
