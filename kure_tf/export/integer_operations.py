"""The operators of an integer graph, on levels in whole numbers."""

import numpy as np
import tensorflow as tf

from kure_tf.export.shared_operations import MOVES, moved, products
from kure_tf.integer_graph import Quantization
from kure_tf.integer_graph.graph import LINEAR
from kure_tf.integer_graph.kernels import LARGEST_LEVEL
from kure_tf.ops.depthwise import depthwise_conv2d

_EXACT = 2**24
"""Up to it, float32 holds every whole number."""

_SUMMED = {"DEPTHWISE_CONV_2D": (0, 1), "TRANSPOSE_CONV": (0, 1, 3)}
_ONE = Quantization(1.0, 0)


def operate(operator, inputs, graph, kernels) -> tf.Tensor:
    """Returns the levels that an operator makes, not yet clipped.

    Args:
        operator: The `Operator`.
        inputs: float32 tensors: codes minus their zero points.
        graph: The `IntegerGraph` that it belongs to.
        kernels: Whose rounding: a `BuiltIn`.
    """
    shape = graph.tensors[operator.output].shape
    if operator.kind in MOVES:
        return moved(operator.kind, operator.options, inputs, shape)
    x = [graph.quantization(name) for name in operator.inputs]
    y = graph.quantization(operator.output)
    if operator.kind in LINEAR:
        sums = _sums(operator, inputs[0], shape)
        return kernels.linear(sums, operator, x[0], y)
    return _COMPUTES[operator.kind](operator, inputs, x, y, kernels)


def _sums(operator, levels, shape):
    """Returns sums of products and bias, exactly, as float32 or float64."""
    weights = operator.weights
    magnitude = np.abs(weights.codes.astype(np.int64))
    axes = _SUMMED.get(operator.kind, tuple(range(magnitude.ndim - 1)))
    largest = LARGEST_LEVEL * magnitude.sum(axes).max()
    largest += np.abs(weights.biases.astype(np.int64)).max()
    kind = tf.float32 if largest <= _EXACT else tf.float64
    kernel = tf.constant(weights.codes, kind)
    x, options = tf.cast(levels, kind), operator.options
    sums = products(operator.kind, options, x, kernel, shape)
    return sums + tf.constant(weights.biases, kind)


def _maximum(operator, inputs, x, y, kernels):
    return tf.maximum(*_compared(operator, inputs, x, y))


def _minimum(operator, inputs, x, y, kernels):
    return tf.minimum(*_compared(operator, inputs, x, y))


def _compared(operator, inputs, x, y):
    """Returns the levels of two inputs, or of one and of a constant.

    It is codes that are compared, and what masks others has a grid of its own.
    """
    if "with" not in operator.options:
        return inputs[0], inputs[1] + (x[1].zero_point - y.zero_point)
    zero_point = 0 if y is None else y.zero_point
    limit = np.float32(operator.options["with"]) - zero_point
    return inputs[0], tf.cast(limit, inputs[0].dtype)


def _add(operator, inputs, x, y, kernels):
    return kernels.add(inputs, x, y)


def _sub(operator, inputs, x, y, kernels):
    return kernels.subtract(inputs, x, y)


def _mul(operator, inputs, x, y, kernels):
    if "by" in operator.options:
        inputs, x = [*inputs, operator.options["by"]], [*x, _ONE]
    return kernels.multiply(inputs, x, y)


def _mean(operator, inputs, x, y, kernels):
    axes = operator.options["axes"]
    sums = tf.reduce_sum(tf.cast(inputs[0], tf.float64), axes)
    count = int(np.prod([inputs[0].shape[axis] for axis in axes]))
    return kernels.mean(sums, count, x[0], y)


def _gather(operator, inputs, x, y, kernels):
    levels = operator.weights.codes.astype(np.float32) - y.zero_point
    return tf.gather(levels, inputs[0])


def _batch_matmul(operator, inputs, x, y, kernels):
    depth = inputs[0].shape[-1]
    kind = tf.float32 if depth * LARGEST_LEVEL**2 <= _EXACT else tf.float64
    a, b = (tf.cast(one, kind) for one in inputs)
    sums = tf.matmul(a, b, transpose_b=operator.options["transposed"])
    return kernels.matrix_product(sums, x, y)


def _average_pool(operator, inputs, x, y, kernels):
    """Means of codes, not of levels; halves go away from code 0."""
    codes = inputs[0] + x[0].zero_point
    sums = _window_sums(operator, codes)
    # Pixels outside the picture do not count.
    counts = _window_sums(operator, tf.ones_like(codes[:1, ..., :1]))
    means = tf.sign(sums) * ((tf.abs(sums) + counts // 2) // counts)
    return means - x[0].zero_point


def _window_sums(operator, codes):
    options = operator.options
    window = tf.ones([*options["pool"], codes.shape[-1], 1])
    return depthwise_conv2d(
        codes, window, options["strides"], options["padding"]
    )


def _leaky_relu(operator, inputs, x, y, kernels):
    return kernels.leaky_relu(inputs[0], operator.options["slope"], x[0], y)


def _prelu(operator, inputs, x, y, kernels):
    slopes = operator.options["slopes"].astype(np.float32)
    grids = x[0], Quantization(operator.options["slope_scale"], 0)
    return kernels.prelu(inputs[0], slopes, grids, y)


def _softmax(operator, inputs, x, y, kernels):
    return kernels.softmax(inputs[0], x[0])


def _resize_bilinear(operator, inputs, x, y, kernels):
    codes = inputs[0] + x[0].zero_point
    factors = operator.options["factors"]
    return kernels.enlarge(codes, factors) - x[0].zero_point


def _look_up(operator, inputs, x, y, kernels):
    table = kernels.table(operator.kind, x[0], y).astype(np.int32)
    table -= y.zero_point
    place = inputs[0] + (128 + x[0].zero_point)
    return tf.gather(table, tf.cast(place, tf.int32))


_COMPUTES = {
    "ADD": _add,
    "AVERAGE_POOL_2D": _average_pool,
    "BATCH_MATMUL": _batch_matmul,
    "ELU": _look_up,
    "GATHER": _gather,
    "GELU": _look_up,
    "HARD_SWISH": _look_up,
    "LEAKY_RELU": _leaky_relu,
    "LOGISTIC": _look_up,
    "MAXIMUM": _maximum,
    "MEAN": _mean,
    "MINIMUM": _minimum,
    "MUL": _mul,
    "PRELU": _prelu,
    "RESIZE_BILINEAR": _resize_bilinear,
    "RSQRT": _look_up,
    "SOFTMAX": _softmax,
    "SUB": _sub,
    "TANH": _look_up,
}
