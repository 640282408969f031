"""The integer graph: what a device computes, as plain data."""

import dataclasses
import math

import numpy as np


@dataclasses.dataclass(frozen=True)
class Quantization:
    """How the int8 codes of one tensor stand for values.

        value = scale * (code - zero_point),    lowest <= code <= 127

    The top level of every grid is code 127, so that saturation clips it for
    free; a grid of fewer than 8 bits leaves the lowest codes unused.

    Attributes:
        scale: Distance of two codes, a float32 number.
        zero_point: The code of 0, in -128..127.
        lowest: The lowest code that occurs.
    """

    scale: float
    zero_point: int
    lowest: int = -128

    def codes_of(self, values) -> np.ndarray:
        """Returns the int8 codes nearest to `values`, halves to even."""
        values = np.asarray(values, np.float32)
        codes = np.rint(values / np.float32(self.scale)) + self.zero_point
        return np.clip(codes, self.lowest, 127).astype(np.int8)

    def values_of(self, codes) -> np.ndarray:
        """Returns the float32 values that int8 codes stand for."""
        levels = np.asarray(codes, np.float32) - self.zero_point
        return levels * np.float32(self.scale)


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One tensor of the graph: int8 codes, or int32 indices.

    Attributes:
        name: Its name, unique in the graph.
        shape: Its shape, without the batch.
        quantization: Its `Quantization`; None for indices, such as the ids
            that an embedding looks up.
    """

    name: str
    shape: tuple[int, ...]
    quantization: Quantization | None

    @property
    def dtype(self) -> str:
        """Returns "int8" or "int32"."""
        return "int32" if self.quantization is None else "int8"


@dataclasses.dataclass(frozen=True, eq=False)  # It holds arrays.
class Weights:
    """A kernel and its bias as integers.

        weight = scales * codes
        bias   = (scale of the input) * scales * biases

    Or the table of an embedding, whose codes are those of the output.

    Attributes:
        path: Path of the kernel in the Keras model, "conv1/kernel".
        bits: Bit-width of the grid that the codes lie on.
        codes: int8, within -127..127 but for masks, in the layout of Keras:
            `[height, width, in, out]`, `[height, width, in, multiplier]`
            (depthwise), `[height, width, out, in]` (transposed), `[in, out]`,
            `[rows, features]` or `[rows]` (a table).
            Batch normalization with a negative gain has changed their sign.
        scales: float32 `[1]` or `[channels]`: step sizes times the gains of
            the batch normalization behind.
        biases: int32 `[channels]`; empty for a table.
        container: Bits that a file gives each code: 8, 4 or 2.
        dead: Channels whose scale is so small beside their bias that int32
            could not hold it. Their codes are zeros, which changes no output.
    """

    path: str
    bits: int
    codes: np.ndarray
    scales: np.ndarray
    biases: np.ndarray
    container: int = 8
    dead: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Operator:
    """One operator.

    Attributes:
        kind: What LiteRT calls it, such as "CONV_2D"; "FLOAT" for layers that
            are left in float: its options are their names, "layers", and the
            function of TensorFlow that computes them, "compute".
        inputs: Names of the tensors that it reads.
        output: Name of the tensor that it writes.
        activation: "NONE", "RELU" or "RELU6", done together with it.
        weights: Kernel and bias of a linear operator, the table of a "GATHER",
            else None.
        options: What else it needs, plain values by name.
    """

    kind: str
    inputs: tuple[str, ...]
    output: str
    activation: str = "NONE"
    weights: Weights | None = None
    options: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, eq=False)
class IntegerGraph:
    """A model as operators on int8 tensors, and on int32 indices.

    Attributes:
        name: Name of the model.
        tensors: `{name: Tensor}`, in the order in which they are made.
        operators: The `Operator`s, each after those that it needs.
        inputs: Names of the tensors that are given.
        outputs: Names of the tensors that are asked for.
    """

    name: str
    tensors: dict[str, Tensor]
    operators: tuple[Operator, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def weights(self) -> dict[str, Weights]:
        """`{name of the operator's output: Weights}` of those that have any."""
        return {
            operator.output: operator.weights
            for operator in self.operators
            if operator.weights is not None
        }

    @property
    def rows(self) -> dict[str, int]:
        """`{tensor: how many rows of its batch one example has}`.

        More than 1 where time steps are examples: RESHAPE has put them there.
        """
        found = dict.fromkeys(self.inputs, 1)
        for operator in self.operators:
            first, output = operator.inputs[0], operator.output
            found[output] = found[first]
            if operator.kind == "RESHAPE":
                before, after = (
                    math.prod(self.tensors[name].shape)
                    for name in (first, output)
                )
                found[output] = found[first] * before // after
        return found

    @property
    def float_layers(self) -> tuple[str, ...]:
        """Names of the layers that are left in float, in order."""
        return tuple(
            layer
            for operator in self.operators
            if operator.kind == "FLOAT"
            for layer in operator.options["layers"]
        )

    def quantization(self, name) -> Quantization | None:
        """Returns the `Quantization` of the tensor of that name, if any."""
        return self.tensors[name].quantization


def check_graph(graph):
    """Raises a TypeError unless `graph` is an `IntegerGraph`."""
    if not isinstance(graph, IntegerGraph):
        raise TypeError(
            "Expected an IntegerGraph, as to_integer_graph returns it. "
            f"Received: {type(graph).__name__}."
        )


LINEAR = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
"""Operators with a kernel and a bias."""

SAME_CODES = (
    "MAX_POOL_2D",
    "MINIMUM",
    "PAD",
    "REDUCE_MAX",
    "RESHAPE",
    "RESIZE_NEAREST_NEIGHBOR",
    "SLICE",
    "TRANSPOSE",
)
"""Operators that only move or choose codes: any grid goes through them."""

SAME_SCALE = ("AVERAGE_POOL_2D", "PATCHES", "RESIZE_BILINEAR")
"""Operators whose output has to lie on the grid of their input."""
