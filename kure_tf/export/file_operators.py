"""How a .tflite file writes the operators of an integer graph."""

import dataclasses

import numpy as np

from kure_tf.export.flatbuffer import schema
from kure_tf.integer_graph import Quantization


@dataclasses.dataclass(frozen=True)
class FileOperator:
    """One operator as the schema has it.

    Attributes:
        kind: Name of the operator.
        version: Its version.
        options: Name of its options.
        values: The options by name.
        constants: `{name: (array, its Quantization or None)}` of constant
            inputs, which come after the others. In a "shape", -1 is the batch.
        order: The places of the inputs, of kernel and bias and of the
            constants in the file, where they are others.
    """

    kind: str
    version: int
    options: str
    values: dict = dataclasses.field(default_factory=dict)
    constants: dict = dataclasses.field(default_factory=dict)
    order: tuple[int, ...] | None = None


def file_operator(operator, graph) -> FileOperator:
    """Returns an `Operator` of `graph` as the file has it."""
    return _WRITERS[operator.kind](operator, graph)


def stored_kernel(operator):
    """Returns a kernel in LiteRT's layout and the axis of its scales."""
    codes = operator.weights.codes
    if operator.kind == "GATHER":
        return codes, 0
    if operator.kind == "CONV_2D":
        return codes.transpose(3, 0, 1, 2), 0
    if operator.kind == "DEPTHWISE_CONV_2D":
        return codes.reshape(1, *codes.shape[:2], -1), 3
    if operator.kind == "TRANSPOSE_CONV":
        return codes.transpose(2, 0, 1, 3), 0
    return codes.T, 0


def _activation(operator):
    return {
        "fusedActivationFunction": getattr(
            schema.ActivationFunctionType, operator.activation
        )
    }


def _window(operator):
    padding = getattr(schema.Padding, operator.options["padding"])
    rows, columns = operator.options["strides"]
    return {"padding": padding, "strideH": rows, "strideW": columns}


def _conv(operator, graph):
    rows, columns = operator.options["dilation"]
    values = {
        **_window(operator),
        **_activation(operator),
        "dilationHFactor": rows,
        "dilationWFactor": columns,
    }
    low_bit = operator.weights.container < 8
    if operator.kind == "CONV_2D":
        return FileOperator(
            "CONV_2D", 7 if low_bit else 3, "Conv2DOptions", values
        )
    values["depthMultiplier"] = operator.weights.codes.shape[-1]
    return FileOperator(
        "DEPTHWISE_CONV_2D",
        # The kernels are those of version 7; 6 also loads where only the
        # reference kernels are.
        6 if low_bit else 3,
        "DepthwiseConv2DOptions",
        values,
    )


def _transpose_conv(operator, graph):
    shape = np.array([-1, *graph.tensors[operator.output].shape], np.int32)
    return FileOperator(
        "TRANSPOSE_CONV",
        3 if operator.activation == "NONE" else 4,
        "TransposeConvOptions",
        {**_window(operator), **_activation(operator)},
        {"shape": (shape, None)},
        order=(3, 1, 0, 2),
    )


def _dense(operator, graph):
    weights = operator.weights
    version = {8: 12 if weights.scales.size > 1 else 4, 4: 12, 2: 14}
    keep = len(graph.tensors[operator.output].shape) > 1
    return FileOperator(
        "FULLY_CONNECTED",
        version[weights.container],
        "FullyConnectedOptions",
        {**_activation(operator), "keepNumDims": keep},
    )


def _elementwise(options):
    def write(operator, graph):
        constants = {}
        if "by" in operator.options:
            rank = 1 + len(graph.tensors[operator.output].shape)
            one = np.full([1] * rank, operator.options["by"], np.int8)
            constants["one"] = one, Quantization(1.0, 0)
        return FileOperator(
            operator.kind, 2, options, _activation(operator), constants
        )

    return write


def _limit(operator, graph):
    constants = {}
    if "with" in operator.options:
        tensor = graph.tensors[operator.output]
        limit = np.array(operator.options["with"], tensor.dtype)
        constants["limit"] = limit, tensor.quantization
    return FileOperator(
        operator.kind, 2, "MaximumMinimumOptions", constants=constants
    )


def _gather(operator, graph):
    values = {"axis": 0, "batchDims": 0}
    return FileOperator("GATHER", 2, "GatherOptions", values, order=(1, 0))


def _batch_matmul(operator, graph):
    transposed = operator.options["transposed"]
    values = {"adjX": False, "adjY": transposed}
    return FileOperator("BATCH_MATMUL", 2, "BatchMatMulOptions", values)


def _prelu(operator, graph):
    slopes = operator.options["slopes"]
    grid = Quantization(operator.options["slope_scale"], 0)
    return FileOperator(
        "PRELU", 1, "NONE", constants={"slopes": (slopes, grid)}
    )


def _pool(operator, graph):
    rows, columns = operator.options["pool"]
    values = {"filterHeight": rows, "filterWidth": columns}
    return FileOperator(
        operator.kind, 2, "Pool2DOptions", {**_window(operator), **values}
    )


def _reduce(operator, graph):
    axes = np.array(operator.options["axes"], np.int32)
    return FileOperator(
        operator.kind,
        2,
        "ReducerOptions",
        {"keepDims": False},
        {"axes": (axes, None)},
    )


def _pad(operator, graph):
    pads = np.array(operator.options["pads"], np.int32)
    return FileOperator(
        "PAD", 2, "PadOptions", constants={"pads": (pads, None)}
    )


def _reshape(operator, graph):
    shape = [-1, *graph.tensors[operator.output].shape]
    shape = np.array(shape, np.int32)
    return FileOperator(
        "RESHAPE",
        1,
        "ReshapeOptions",
        {"newShape": shape},
        {"shape": (shape, None)},
    )


def _concatenation(operator, graph):
    rank = 1 + len(graph.tensors[operator.output].shape)
    return FileOperator(
        "CONCATENATION",
        2,
        "ConcatenationOptions",
        {"axis": operator.options["axis"] % rank},
    )


def _transpose(operator, graph):
    axes = np.array(operator.options["axes"], np.int32)
    return FileOperator(
        "TRANSPOSE", 2, "TransposeOptions", constants={"axes": (axes, None)}
    )


def _slice(operator, graph):
    begin = np.array(operator.options["begin"], np.int32)
    shape = np.array([-1, *graph.tensors[operator.output].shape], np.int32)
    constants = {"begin": (begin, None), "shape": (shape, None)}
    return FileOperator("SLICE", 2, "SliceOptions", constants=constants)


def _resize(options):
    def write(operator, graph):
        rows, columns = graph.tensors[operator.output].shape[:2]
        return FileOperator(
            operator.kind,
            3,
            options,
            {"alignCorners": False, "halfPixelCenters": True},
            {"size": (np.array([rows, columns], np.int32), None)},
        )

    return write


def _plain(version, options="NONE", values=lambda operator: {}):
    """Returns the writer of operators without other inputs."""

    def write(operator, graph):
        return FileOperator(operator.kind, version, options, values(operator))

    return write


_WRITERS = {
    "ADD": _elementwise("AddOptions"),
    "AVERAGE_POOL_2D": _pool,
    "BATCH_MATMUL": _batch_matmul,
    "CONCATENATION": _concatenation,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _conv,
    "ELU": _plain(1),
    "FULLY_CONNECTED": _dense,
    "GATHER": _gather,
    "GELU": _plain(2, "GeluOptions"),
    "HARD_SWISH": _plain(1, "HardSwishOptions"),
    "LEAKY_RELU": _plain(
        2, "LeakyReluOptions", lambda one: {"alpha": one.options["slope"]}
    ),
    "LOGISTIC": _plain(2),
    "MAXIMUM": _limit,
    "MAX_POOL_2D": _pool,
    "MEAN": _reduce,
    "MINIMUM": _limit,
    "MUL": _elementwise("MulOptions"),
    "PAD": _pad,
    "PRELU": _prelu,
    "REDUCE_MAX": _reduce,
    "RESHAPE": _reshape,
    "RESIZE_BILINEAR": _resize("ResizeBilinearOptions"),
    "RESIZE_NEAREST_NEIGHBOR": _resize("ResizeNearestNeighborOptions"),
    "RSQRT": _plain(2),
    "SLICE": _slice,
    "SOFTMAX": _plain(2, "SoftmaxOptions", lambda one: {"beta": 1.0}),
    "SUB": _elementwise("SubOptions"),
    "TANH": _plain(2),
    "TRANSPOSE": _transpose,
    "TRANSPOSE_CONV": _transpose_conv,
}
