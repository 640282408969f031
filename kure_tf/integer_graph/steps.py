"""What a Keras model is made of: steps, each an operator or a part of one."""

import collections
import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from kure_tf.integer_graph.graph import Quantization


@dataclasses.dataclass
class Range:
    """The ends of what `measure` has seen."""

    lowest: float = np.inf
    highest: float = -np.inf


@dataclasses.dataclass(eq=False)
class Value:
    """One tensor between steps.

    Attributes:
        name: Name of the layer that makes it, or of a step in it.
        shape: Its shape without the batch, once `measure` has seen it.
        range: Its `Range`; one and the same for what a cell makes at each
            time step.
        quantization: Its codes, where its operator or a quantizer says them.
        dtype: Name of the dtype of an input; "float32" for all others.
        features: `(lowest, highest)`, the range of each entry of the last axis;
            of an input, once `measure` has seen it.
        is_whole: Whether `measure` has seen nothing but whole numbers, of an
            input.
        merged: `(times, value)` where it has the examples of that value as
            time steps.
        mask: The value of 1 where its places count, else 0; None where all
            do. Of a mask the mask itself.
        seen: Of indices: the mask that an embedding makes of them, if any.
        inverse: Of a mask: 1 where its places do not count.
    """

    name: str
    shape: tuple[int, ...] | None = None
    range: Range = dataclasses.field(default_factory=Range)
    quantization: Quantization | None = None
    dtype: str = "float32"
    features: tuple | None = None
    is_whole: bool = True
    merged: tuple | None = None
    mask: "Value | None" = None
    seen: "Value | None" = None
    inverse: "Value | None" = None


@dataclasses.dataclass(eq=False)
class Step:
    """What makes one value.

    Attributes:
        kind: An operator of the integer graph, or what is folded into one:
            "AFFINE" (gain * x + shift), "RELU", "RELU6", "QUANTIZED" (by a
            quantizer); "FEATURE_MEAN" (over the last axis, + shift);
            "PATCHES" (what each place of a window sees, as channels); "MASK"
            (1 where an index is not 0; "inverse" where it is), "HELD" (the
            first input where the third is 1, else the second);
            "IDENTITY" is nothing at all.
        inputs: The values that it reads.
        output: The value that it makes.
        compute: Function of the tensors of `inputs`, in float.
        layer: The layer that it comes from, with its quantizers.
        inner: The layer in there, without wrappers.
        kernel: Name of the kernel of a linear operator.
        reads: Name of the quantizer that it reads its input through: None if
            the layer has none for it.
        options: Plain values by name.
    """

    kind: str
    inputs: tuple[Value, ...]
    output: Value
    compute: Callable
    layer: object
    inner: object
    kernel: str | None
    reads: str | None
    options: dict


@dataclasses.dataclass
class Steps:
    """A whole model: its inputs, its steps in order, its outputs."""

    inputs: list[Value]
    steps: list[Step] = dataclasses.field(default_factory=list)
    outputs: list[Value] = dataclasses.field(default_factory=list)


def needed(steps) -> Steps:
    """Returns those of the steps that the outputs depend on."""
    found, wanted = [], set(steps.outputs)
    for step in reversed(steps.steps):
        if step.output in wanted:
            found.append(step)
            wanted.update(step.inputs)
    return dataclasses.replace(steps, steps=found[::-1])


def measure(steps, batches):
    """Runs batches through the steps and notes shapes and ranges in values.

    Args:
        steps: The `Steps`.
        batches: Lists of float tensors, one for each input.

    Raises:
        ValueError: If a value is NaN or infinite.
    """
    for batch in batches:
        tensors = dict(zip(steps.inputs, batch, strict=True))
        for value, tensor in tensors.items():
            _note(value, tensor)
            _note_features(value, tensor)
            value.is_whole &= bool(tf.reduce_all(tensor == tf.round(tensor)))
        left = collections.Counter(v for s in steps.steps for v in s.inputs)
        for step in steps.steps:
            y = step.compute(*(tensors[value] for value in step.inputs))
            _note(step.output, y)
            tensors[step.output] = y
            left.subtract(step.inputs)
            for value in {v for v in step.inputs if not left[v]}:
                del tensors[value]  # Large networks do not fit otherwise.


def _note(value, tensor):
    ends = tf.reduce_min(tensor), tf.reduce_max(tensor)
    lowest, highest = (float(tf.cast(end, tf.float32)) for end in ends)
    if not np.isfinite([lowest, highest]).all():
        raise ValueError(
            f"Expected finite activations. {value.name!r} has NaN or infinity "
            "on the calibration examples: look at them and at the weights "
            "of the layers before it."
        )
    value.shape = tuple(tensor.shape[1:])
    value.range.lowest = min(value.range.lowest, lowest)
    value.range.highest = max(value.range.highest, highest)


def _note_features(value, tensor):
    axes = range(len(tensor.shape) - 1)
    low, high = (
        f(tensor, axes).numpy() for f in (tf.reduce_min, tf.reduce_max)
    )
    if value.features is not None:
        low = np.minimum(low, value.features[0])
        high = np.maximum(high, value.features[1])
    value.features = low, high
