"""From fused operators to the integer graph."""

import dataclasses

import numpy as np
import tensorflow as tf

from kure_tf.data.held import check_held
from kure_tf.integer_graph.bases import Bases
from kure_tf.integer_graph.graph import (
    LINEAR,
    SAME_CODES,
    SAME_SCALE,
    IntegerGraph,
    Operator,
    Tensor,
)
from kure_tf.integer_graph.kernels import (
    LARGEST_LEVEL,
    LARGEST_SUM,
    affine_weights,
    mask_table,
    mean_weights,
    patch_weights,
    table_of,
    weights_of,
)

_WITH_ACTIVATION = (*LINEAR, "ADD", "SUB", "MUL")


class Lowering:
    """Makes the tensors and operators of an `IntegerGraph`.

    A value that is read on another grid than its base gets a second tensor: a
    sum is added once more, straight onto that grid; anything else is
    multiplied by 1. (QUANTIZE would be the operator for it, but XNNPACK's has
    a multiplier of 8 bits, which is off by up to 2 %.)

    Args:
        operators: The `Fused` operators, in order.
        inputs, outputs: The values that the graph is given and puts out.
        kernels: `{id of the state: QuantizedTensor}` of the model.
    """

    def __init__(self, operators, inputs, outputs, kernels):
        self._fused, self._inputs, self._outputs = operators, inputs, outputs
        self._kernels = kernels
        self._bases = Bases(operators, outputs)
        self._makers = {fused.output: fused for fused in operators}
        self._tensors, self._operators, self._stored = {}, {}, {}
        self._given = []

    def graph(self, name) -> IntegerGraph:
        """Returns the graph, called `name`."""
        for value in self._inputs:
            self._in_base(value)
        inputs = list(self._given)
        for fused in self._fused:
            if fused.kind not in SAME_CODES:
                self._in_base(fused.output)
        outputs = [self._store(value) for value in self._outputs]
        operators = self._needed(outputs)
        used = {*inputs, *(operator.output for operator in operators)}
        return IntegerGraph(
            name=name,
            tensors={n: t for n, t in self._tensors.items() if n in used},
            operators=tuple(operators),
            inputs=tuple(inputs),
            outputs=tuple(outputs),
        )

    def _needed(self, outputs):
        """Returns the operators that the outputs depend on, in order."""
        needed, wanted = [], set(outputs)
        for operator in reversed(self._operators.values()):
            if operator.output in wanted:
                needed.append(operator)
                wanted.update(operator.inputs)
        return needed[::-1]

    def _store(self, value, quantization=None) -> str:
        """Returns the tensor of a value in some codes; None for its base."""
        key = value, quantization
        if key not in self._stored:
            self._stored[key] = self._made(value, quantization)
        return self._stored[key]

    def _made(self, value, quantization):
        fused = self._makers.get(value)
        if fused is not None and fused.kind in SAME_CODES:
            x = self._store(fused.inputs[0], quantization)
            others = map(self._store, fused.inputs[1:])
            return self._add(fused, [x, *others], self._tensors[x].quantization)
        base = self._in_base(value)
        if quantization in (None, self._bases.of(value)):
            return base
        return self._second(value, base, quantization)

    def _in_base(self, value):
        key = value, self._bases.of(value)
        if key not in self._stored:
            self._stored[key] = self._first(value, self._bases.of(value))
        return self._stored[key]

    def _first(self, value, quantization):
        """Makes the tensor of a value in the codes of its base."""
        fused = self._makers.get(value)
        if fused is None:
            return self._input(value, quantization)
        if fused.kind == "HELD":
            return self._held(fused, quantization)
        wanted = self._bases.wanted_by(fused)
        inputs = [self._store(x, wanted) for x in fused.inputs]
        if fused.kind == "AFFINE":
            return self._affine(fused, inputs[0], quantization)
        if fused.kind == "FEATURE_MEAN":
            return self._feature_mean(fused, inputs[0], quantization)
        if fused.kind == "PATCHES":
            return self._patches(fused, inputs[0], quantization)
        if fused.kind == "MASK":
            return self._mask(fused, inputs[0], quantization)
        return self._add(fused, inputs, quantization)

    def _input(self, value, quantization):
        """Makes the tensor of an input of the model."""
        if quantization is None:
            ends = value.range.lowest, value.range.highest
            check_held(ends, tf.int32, f"indices for the input {value.name!r}")
        name = self._tensor(value.name, value.shape, quantization)
        self._given.append(name)
        if quantization is None or quantization.lowest == -128:
            return name
        clip = Operator(
            "MAXIMUM", (name,), "", options={"with": quantization.lowest}
        )
        return self._append(clip, f"{name}_clipped", value.shape, quantization)

    def _second(self, value, base, quantization):
        """Makes another tensor of a value, in other codes than its base."""
        maker = self._operators.get(base)
        if maker is None or maker.kind != "ADD":
            maker = Operator("MUL", (base,), base, options={"by": 1})
        return self._emit(maker, f"{base}_again", value.shape, quantization)

    def _add(self, fused, inputs, quantization):
        """Adds the operator that `fused` describes; returns its tensor."""
        kind, options = _kind_and_options(fused, quantization)
        if kind == "MINIMUM" and np.all(options.get("with", 0) == 127):
            # Saturation does it.
            return inputs[0]
        weights = None
        if kind in LINEAR:
            x = self._tensors[inputs[0]].quantization
            weights = weights_of(fused, self._kernels, x, quantization)
        if kind == "GATHER":
            weights = table_of(fused, self._kernels, quantization)
        self._check_operands(fused, inputs, quantization)
        activation = _activation(fused, quantization)
        operator = Operator(
            kind, tuple(inputs), "", activation, weights, options
        )
        value = fused.output
        return self._emit(operator, value.name, value.shape, quantization)

    def _check_operands(self, fused, inputs, quantization):
        """Raises where built-in kernels compute something else."""
        tensors = [self._tensors[x] for x in inputs]
        if fused.kind == "ADD" and tensors[0].shape != tensors[1].shape:
            raise ValueError(
                f"Expected sums of tensors of one shape. {fused.output.name!r} "
                f"adds {tensors[0].shape} and {tensors[1].shape}, which "
                "LiteRT's kernels round in ways that are not foretold."
            )
        if fused.kind == "BATCH_MATMUL":
            depth = tensors[0].shape[-1]
            if depth * LARGEST_LEVEL**2 > LARGEST_SUM:
                raise ValueError(
                    "Expected products of matrices whose sums int32 holds, of "
                    f"{LARGEST_SUM // LARGEST_LEVEL**2} products each at most. "
                    f"Those of {fused.output.name!r} have {depth}."
                )
        if fused.kind == "MUL":
            a, b = (tensor.quantization.scale for tensor in tensors)
            if 2**16 * a * b / quantization.scale >= 2**15:
                raise ValueError(
                    "Expected a product that uses the range of its factors. "
                    f"All of {fused.output.name!r} is below 1/128 of it, for "
                    "which LiteRT's kernels have too few bits. A normalization "
                    "over features whose places differ that much in size is "
                    "left in float by allow_float=True; scale other factors."
                )

    def _affine(self, fused, x, quantization):
        """Adds a gain and a shift per channel as a depthwise convolution."""
        name, shape = fused.output.name, fused.output.shape
        image = shape if len(shape) == 3 else (1, 1, shape[-1])
        if len(shape) == 2:
            image = (1, *shape)
        before = self._tensors[x].quantization
        weights = affine_weights(fused, shape[-1], before, quantization)
        if image != shape:
            x = self._emit(
                Operator("RESHAPE", (x,), ""), f"{name}_image", image, before
            )
        operator = Operator(
            "DEPTHWISE_CONV_2D",
            (x,),
            "",
            fused.activation,
            weights,
            {"strides": (1, 1), "padding": "VALID", "dilation": (1, 1)},
        )
        if image == shape:
            return self._emit(operator, name, shape, quantization)
        y = self._emit(operator, f"{name}_affine", image, quantization)
        return self._emit(
            Operator("RESHAPE", (y,), ""), name, shape, quantization
        )

    def _feature_mean(self, fused, x, quantization):
        """Adds a mean over the last axis as a product with equal weights."""
        count = self._tensors[x].shape[-1]
        before = self._tensors[x].quantization
        weights = mean_weights(fused, count, before, quantization)
        operator = Operator("FULLY_CONNECTED", (x,), "", weights=weights)
        value = fused.output
        return self._emit(operator, value.name, value.shape, quantization)

    def _patches(self, fused, x, quantization):
        """Adds what each place sees as a convolution that copies codes."""
        options = dict(fused.step.options)
        size = (*options.pop("size"), self._tensors[x].shape[-1])
        weights = patch_weights(fused, size, quantization)
        operator = Operator(
            "CONV_2D", (x,), "", weights=weights, options=options
        )
        value = fused.output
        return self._emit(operator, value.name, value.shape, quantization)

    def _mask(self, fused, indices, quantization):
        """Adds a mask of indices: 0 and all others look up their code."""
        name, shape = fused.output.name, fused.output.shape
        index = self._append(
            Operator("MINIMUM", (indices,), "", options={"with": 1}),
            f"{name}_index",
            shape,
            None,
        )
        weights = mask_table(fused, quantization)
        operator = Operator("GATHER", (index,), "", weights=weights)
        return self._append(operator, name, shape, quantization)

    def _held(self, fused, quantization):
        """Adds what a mask lets through of one value, and of another."""
        name, shape = fused.output.name, fused.output.shape
        parts = []
        for number in range(2):
            value, mask = fused.inputs[number], fused.inputs[2 + number]
            inputs = self._store(value, quantization), self._store(mask)
            operator = Operator("MINIMUM", inputs, "")
            part = f"{name}_{'new' if number == 0 else 'before'}"
            parts.append(self._append(operator, part, shape, quantization))
        operator = Operator("MAXIMUM", tuple(parts), "")
        return self._append(operator, name, shape, quantization)

    def _emit(self, operator, name, shape, quantization):
        """Adds an operator and the tensor it makes; returns the tensor.

        Saturation clips at the highest level. Where the lowest one is not
        code -128, ReLU clips at zero, and MAXIMUM anywhere else.
        """
        if quantization is None:
            return self._append(operator, name, shape, quantization)
        lowest = quantization.lowest
        if lowest <= self._lowest_made(operator, quantization):
            return self._append(operator, name, shape, quantization)
        if lowest == quantization.zero_point and _has_activation(operator):
            operator = dataclasses.replace(operator, activation="RELU")
            return self._append(operator, name, shape, quantization)
        raw = self._append(operator, f"{name}_raw", shape, quantization)
        maximum = Operator("MAXIMUM", (raw,), "", options={"with": lowest})
        return self._append(maximum, name, shape, quantization)

    def _lowest_made(self, operator, quantization):
        """Returns the lowest code that an operator can put out."""
        if operator.kind in (
            *SAME_CODES,
            *SAME_SCALE,
            "CONCATENATION",
            "GATHER",
        ):
            return quantization.lowest
        inputs = [self._tensors[x].quantization for x in operator.inputs]
        positive = operator.kind in ("ADD", "MUL", "MEAN") and all(
            x.lowest >= x.zero_point for x in inputs
        )
        if positive or operator.activation != "NONE":
            return quantization.zero_point
        return -128

    def _append(self, operator, name, shape, quantization):
        name = self._tensor(name, shape, quantization)
        self._operators[name] = dataclasses.replace(operator, output=name)
        return name

    def _tensor(self, name, shape, quantization):
        """Adds a tensor; returns its name, with a number if it is taken."""
        unique, count = name, 1
        while unique in self._tensors:
            unique, count = f"{name}_{count}", count + 1
        self._tensors[unique] = Tensor(unique, tuple(shape), quantization)
        return unique


def _has_activation(operator):
    return operator.kind in _WITH_ACTIVATION and operator.activation == "NONE"


def _kind_and_options(fused, quantization):
    """Returns the kind and options of the operator that `fused` becomes."""
    kind, options = fused.kind, dict(fused.step.options)
    options.pop("of_places", None)
    if kind in ("RELU", "RELU6", "QUANTIZED"):
        return "MUL", {"by": 1}
    if kind == "FLOAT":
        del options["indices"]
        options["compute"] = fused.step.compute
    if "highest" in options:
        options["with"] = quantization.codes_of(options.pop("highest"))
    return kind, options


def _activation(fused, quantization):
    """Returns its activation; a ReLU6 that saturation clips is a ReLU."""
    if fused.activation == "RELU6" and quantization.codes_of(6.0) == 127:
        return "RELU"
    return fused.activation
