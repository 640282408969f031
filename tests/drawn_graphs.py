"""Graphs of one operator each, with shapes, scales and codes drawn."""

import dataclasses

import numpy as np

from kure_tf.integer_graph import (
    IntegerGraph,
    Operator,
    Quantization,
    Tensor,
    Weights,
)


class Draw:
    """Draws operators, scales and codes."""

    def __init__(self, seed):
        self._rng = np.random.default_rng(seed)

    def quantization(self):
        scale = np.float32(2.0 ** self._rng.uniform(-6, 0))
        return Quantization(float(scale), int(self._rng.integers(-128, 128)))

    def codes(self, *shape):
        return self._rng.integers(-128, 128, shape).astype(np.int8)

    def input(self, tensor):
        """Returns what one input is given: codes, or indices of a table."""
        if tensor.quantization is None:
            return self._rng.integers(0, 1000, (64, *tensor.shape), np.int32)
        return self.codes(64, *tensor.shape)

    def weights(self, shape, channels):
        """Returns weights of 8 or 4 bits, per tensor or per channel."""
        bits = int(self._rng.choice([8, 4]))
        largest = 2 ** (bits - 1) - 1
        steps = channels if self._rng.random() < 0.5 else 1
        return Weights(
            path="kernel",
            bits=bits,
            codes=self._rng.integers(-largest, largest + 1, shape).astype(
                np.int8
            ),
            scales=(2.0 ** self._rng.uniform(-9, -6, steps)).astype(np.float32),
            biases=self._rng.integers(-8192, 8192, channels).astype(np.int32),
            container=bits,
        )

    def choice(self, *values):
        return values[int(self._rng.integers(len(values)))]


def one_operator(
    kind, shapes, quantizations, activation="NONE", weights=None, **more
):
    """Returns a graph of one operator; the last shape is the output's."""
    names = [*(f"x{i}" for i in range(len(shapes) - 1)), "y"]
    tensors = {
        name: Tensor(name, shape, quantization)
        for name, shape, quantization in zip(
            names, shapes, quantizations, strict=True
        )
    }
    inputs = tuple(names[:-1])
    operator = Operator(kind, inputs, "y", activation, weights, more)
    return IntegerGraph("one", tensors, (operator,), inputs, ("y",))


def _conv(draw):
    padding = draw.choice("SAME", "VALID")
    rows = 6 if padding == "SAME" else 4
    return one_operator(
        "CONV_2D",
        [(6, 6, 5), (rows, rows, 7)],
        [draw.quantization(), draw.quantization()],
        draw.choice("NONE", "RELU", "RELU6"),
        draw.weights((3, 3, 5, 7), 7),
        strides=(1, 1),
        padding=padding,
        dilation=(1, 1),
    )


def _strided(draw):
    return one_operator(
        "CONV_2D",
        [(7, 6, 5), (4, 3, 9)],
        [draw.quantization(), draw.quantization()],
        weights=draw.weights((3, 3, 5, 9), 9),
        strides=(2, 2),
        padding="SAME",
        dilation=(1, 1),
    )


def _depthwise(draw):
    inputs, multiplier = draw.choice(3, 8, 13), draw.choice(1, 2)
    channels = inputs * multiplier
    rate = draw.choice(1, 2)
    return one_operator(
        "DEPTHWISE_CONV_2D",
        [(6, 6, inputs), (6, 6, channels)],
        [draw.quantization(), draw.quantization()],
        draw.choice("NONE", "RELU", "RELU6"),
        draw.weights((3, 3, inputs, multiplier), channels),
        strides=(1, 1),
        padding="SAME",
        dilation=(rate, rate),
    )


def _dense(draw):
    rows = draw.choice((), (3,))
    return one_operator(
        "FULLY_CONNECTED",
        [(*rows, 64), (*rows, 9)],
        [draw.quantization(), draw.quantization()],
        draw.choice("NONE", "RELU"),
        draw.weights((64, 9), 9),
    )


def _two(kind):
    def draw_graph(draw):
        shape = (5, 5, draw.choice(8, 7))
        other = (
            (1, 1, shape[-1]) if kind != "ADD" and draw.choice(0, 1) else shape
        )
        quantizations = [draw.quantization() for _ in range(3)]
        if kind == "MUL":  # Factors of which no product leaves the output.
            quantizations[2] = Quantization(4.0, 3)
        return one_operator(kind, [shape, other, shape], quantizations)

    return draw_graph


def _matrix_product(draw):
    """With a second factor that XNNPACK takes, of zero point 0, or not."""
    transposed, depth = draw.choice(False, True), draw.choice(5, 64, 300)
    b = draw.quantization()
    b = dataclasses.replace(b, zero_point=draw.choice(0, b.zero_point))
    y = Quantization(float(np.float32(2 * depth**0.5)), draw.choice(-5, 9))
    return one_operator(
        "BATCH_MATMUL",
        [
            (2, 9, depth),
            (2, 7, depth) if transposed else (2, depth, 7),
            (2, 9, 7),
        ],
        [draw.quantization(), b, y],
        transposed=transposed,
    )


def _inverse_root(draw):
    x = Quantization(draw.quantization().scale, -128)
    y = Quantization(float(np.float32(x.scale**-0.5 / 100)), -128)
    return one_operator("RSQRT", [(5, 8)] * 2, [x, y])


def _look_up(draw):
    return one_operator(
        "GATHER",
        [(6,), (6, 5)],
        [None, Quantization(0.1, 0)],
        weights=Weights(
            path="table",
            bits=8,
            codes=draw.codes(1000, 5),
            scales=np.float32([0.1]),
            biases=np.zeros(0, np.int32),
        ),
    )


def _limits(draw):
    """A limit for each entry, as of causal attention."""
    limits = draw.codes(1, 1, 5, 8)
    quantizations = [draw.quantization()] * 2
    return one_operator(
        "MINIMUM", [(3, 5, 8)] * 2, quantizations, **{"with": limits}
    )


def _by_one(draw):
    quantizations = [draw.quantization(), draw.quantization()]
    activation = draw.choice("NONE", "RELU", "RELU6")
    return one_operator("MUL", [(5, 5, 8)] * 2, quantizations, activation, by=1)


def _mean(draw):
    shape = draw.choice((5, 5, 8), (11, 3, 7))
    quantizations = [draw.quantization(), draw.quantization()]
    return one_operator("MEAN", [shape, shape[-1:]], quantizations, axes=(1, 2))


def _pool(kind, strides=(2, 2)):
    def draw_graph(draw):
        padding = draw.choice("SAME", "VALID")
        left_out = 0 if padding == "SAME" else 2
        sizes = (-(-(7 - left_out) // stride) for stride in strides)
        return one_operator(
            kind,
            [(7, 7, 5), (*sizes, 5)],
            [draw.quantization()] * 2,
            pool=(3, 2) if padding == "SAME" else (3, 3),
            strides=strides,
            padding=padding,
        )

    return draw_graph


def _function(kind, y=None, **options):
    def draw_graph(draw):
        quantizations = [draw.quantization(), y or draw.quantization()]
        return one_operator(kind, [(5, 8)] * 2, quantizations, **options)

    return draw_graph


def _leaky_relu(draw):
    slope = draw.choice(0.003, 0.01, 0.1, 0.3)  # XNNPACK leaves the first.
    return _function("LEAKY_RELU", slope=slope)(draw)


def _resized(kind):
    def draw_graph(draw):
        rows, columns = factors = draw.choice((2, 3), (4, 1))
        quantizations = [draw.quantization()] * 2
        shapes = [(5, 4, 3), (5 * rows, 4 * columns, 3)]
        return one_operator(kind, shapes, quantizations, factors=factors)

    return draw_graph


def _limit(kind):
    def draw_graph(draw):
        quantizations = [draw.quantization()] * 2
        limit = {"with": draw.choice(-100, 3, 112)}
        return one_operator(kind, [(5, 5, 8)] * 2, quantizations, **limit)

    return draw_graph


def _grouped(draw):
    groups, channels = draw.choice((2, 12), (3, 6))
    return one_operator(
        "CONV_2D",
        [(6, 6, 4 * groups), (6, 6, channels)],
        [draw.quantization(), draw.quantization()],
        draw.choice("NONE", "RELU", "RELU6"),
        dataclasses.replace(
            draw.weights((3, 3, 4, channels), channels), container=8
        ),
        strides=(1, 1),
        padding="SAME",
        dilation=(1, 1),
        groups=groups,
    )


def _prelu(draw):
    slopes = draw.codes(*draw.choice((1, 1, 5), (4, 6, 5)))
    quantizations = [draw.quantization(), draw.quantization()]
    scale = float(np.float32(draw.choice(0.001, 0.02)))
    return one_operator(
        "PRELU",
        [(4, 6, 5)] * 2,
        quantizations,
        slopes=slopes,
        slope_scale=scale,
    )


def _softmax(draw):
    quantizations = [draw.quantization(), Quantization(1 / 256, -128)]
    return one_operator("SOFTMAX", [(10,)] * 2, quantizations)


DRAWN = {
    "add": _two("ADD"),
    "average_pool": _pool("AVERAGE_POOL_2D"),
    "average_pool_strides": _pool("AVERAGE_POOL_2D", (2, 3)),
    "conv": _conv,
    "dense": _dense,
    "enlarge": _resized("RESIZE_BILINEAR"),
    "enlarge_nearest": _resized("RESIZE_NEAREST_NEIGHBOR"),
    "elu": _function("ELU"),
    "gelu": _function("GELU"),
    "grouped": _grouped,
    "hard_swish": _function("HARD_SWISH"),
    "inverse_root": _inverse_root,
    "leaky_relu": _leaky_relu,
    "limits": _limits,
    "look_up": _look_up,
    "logistic": _function("LOGISTIC", Quantization(1 / 256, -128)),
    "depthwise": _depthwise,
    "matrix_product": _matrix_product,
    "max_pool": _pool("MAX_POOL_2D"),
    "max_pool_strides": _pool("MAX_POOL_2D", (2, 3)),
    "maximum": _limit("MAXIMUM"),
    "mean": _mean,
    "minimum": _limit("MINIMUM"),
    "mul": _two("MUL"),
    "mul_by_1": _by_one,
    "prelu": _prelu,
    "softmax": _softmax,
    "strided": _strided,
    "sub": _two("SUB"),
    "tanh": _function("TANH", Quantization(1 / 128, 0)),
}
"""`{name: function of a `Draw` that returns a graph}`."""
