"""Operators that compute the same on levels in whole numbers and on values."""

import tensorflow as tf

from kure_tf.ops.depthwise import depthwise_conv2d


def products(kind, options, x, kernel, shape) -> tf.Tensor:
    """Returns the sums of products of a linear operator, without its bias.

    Args:
        kind, options: As in its `Operator`.
        x: Tensor `[batch, ...]`.
        kernel: Tensor in the layout of `Weights`.
        shape: Shape of the output, without the batch.
    """
    if kind == "FULLY_CONNECTED":
        return tf.matmul(x, kernel)
    strides, padding = list(options["strides"]), options["padding"]
    if kind == "TRANSPOSE_CONV":
        shape = [tf.shape(x)[0], *shape]
        return tf.nn.conv2d_transpose(x, kernel, shape, strides, padding)
    dilation = list(options["dilation"])
    if kind == "CONV_2D":
        return tf.nn.conv2d(x, kernel, strides, padding, dilations=dilation)
    return depthwise_conv2d(x, kernel, strides, padding, dilation)


def moved(kind, options, inputs, shape) -> tf.Tensor:
    """Returns what an operator of `MOVES` makes of tensors on one grid.

    Args:
        kind, options: As in its `Operator`.
        inputs: Tensors `[batch, ...]`.
        shape: Shape of the output, without the batch.
    """
    return MOVES[kind](options, inputs, shape)


def _concatenation(options, inputs, shape):
    return tf.concat(inputs, options["axis"])


def _max_pool(options, inputs, shape):
    window = options["pool"], options["strides"], options["padding"]
    return tf.nn.max_pool2d(inputs[0], *window)


def _pad(options, inputs, shape):
    return tf.pad(inputs[0], options["pads"])


def _reduce_max(options, inputs, shape):
    return tf.reduce_max(inputs[0], options["axes"])


def _reshape(options, inputs, shape):
    return tf.reshape(inputs[0], [-1, *shape])


def _resize_nearest(options, inputs, shape):
    return tf.image.resize(inputs[0], shape[:2], "nearest")


def _slice(options, inputs, shape):
    return tf.slice(inputs[0], options["begin"], [-1, *shape])


def _transpose(options, inputs, shape):
    return tf.transpose(inputs[0], options["axes"])


MOVES = {
    "CONCATENATION": _concatenation,
    "MAX_POOL_2D": _max_pool,
    "PAD": _pad,
    "REDUCE_MAX": _reduce_max,
    "RESHAPE": _reshape,
    "RESIZE_NEAREST_NEIGHBOR": _resize_nearest,
    "SLICE": _slice,
    "TRANSPOSE": _transpose,
}
"""`{operator that moves or chooses: what computes it}`."""
