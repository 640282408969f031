"""Steps that one operator does together."""

import collections
import dataclasses

import numpy as np

from kure_tf.integer_graph.graph import LINEAR
from kure_tf.integer_graph.steps import Step, Value

_WITH_ACTIVATION = (*LINEAR, "AFFINE", "ADD", "SUB", "MUL")


@dataclasses.dataclass(eq=False)
class Fused:
    """An operator to be, with what is folded into it.

        activation(gain * step + shift)

    Attributes:
        step: The step that names the operator.
        inputs: The values that it reads.
        output: The value of the last step in it.
        gain, shift: Float64 scalars or `[channels]`.
        activation: "NONE", "RELU" or "RELU6".
        input_gain: What a linear operator multiplies its input with first.
    """

    step: Step
    inputs: tuple[Value, ...]
    output: Value
    gain: np.ndarray | float = 1.0
    shift: np.ndarray | float = 0.0
    activation: str = "NONE"
    input_gain: float = 1.0

    @property
    def kind(self):
        return self.step.kind

    def reads_indices(self, value) -> bool:
        """Whether `value`, one of the inputs, is indices for it."""
        if self.kind != "FLOAT":
            return self.kind in ("GATHER", "MASK")
        found = self.step.options["indices"][self.inputs.index(value)]
        return value.is_whole if found is None else found

    def takes(self, step) -> bool:
        """Whether `step`, which reads the output, can be folded in."""
        if self.output.quantization is not None:
            return False
        if step.kind == "QUANTIZED":
            return True
        if self.activation != "NONE":
            return False
        if step.kind == "AFFINE":
            return self.kind in (*LINEAR, "AFFINE")
        if step.kind == "FLOAT":
            return self.kind == "FLOAT" and len(step.inputs) == 1
        return step.kind in ("RELU", "RELU6") and self.kind in _WITH_ACTIVATION

    def take(self, step):
        """Folds `step` in."""
        self.output = step.output
        if step.kind == "FLOAT":
            self.step = _one_after_the_other(self.step, step)
        elif step.kind == "AFFINE":
            gain, shift = step.options["gain"], step.options["shift"]
            self.gain, self.shift = self.gain * gain, self.shift * gain + shift
        elif step.kind != "QUANTIZED":
            self.activation = step.kind


def _one_after_the_other(first, second):
    """Returns two steps in float as one."""
    layers = first.options["layers"] + second.options["layers"]
    return dataclasses.replace(
        first,
        compute=lambda *inputs: second.compute(first.compute(*inputs)),
        options={**first.options, "layers": layers},
    )


def fuse(steps) -> tuple[list[Fused], list[Value]]:
    """Returns the operators of `Steps`, and the values of its outputs.

    Batch normalization and ReLU go into the operator in front of them where
    nothing else reads what is between; identities vanish.
    """
    same = {}
    for step in steps.steps:
        if step.kind == "IDENTITY":
            same[step.output] = same.get(step.inputs[0], step.inputs[0])
    steps_left = [step for step in steps.steps if step.kind != "IDENTITY"]
    outputs = [same.get(value, value) for value in steps.outputs]
    readers = collections.Counter(outputs)
    for step in steps_left:
        readers.update(same.get(value, value) for value in step.inputs)
    makers = {}
    for step in steps_left:
        inputs = tuple(same.get(value, value) for value in step.inputs)
        maker = makers.get(inputs[0])
        if maker and readers[inputs[0]] == 1 and maker.takes(step):
            maker.take(step)
        else:
            maker = _started(step, inputs)
        makers[step.output] = maker
    return list(dict.fromkeys(makers.values())), outputs


def _started(step, inputs):
    fused = Fused(step, inputs, step.output)
    if step.kind in ("AFFINE", "RELU", "RELU6"):
        fused.take(step)
    return fused
