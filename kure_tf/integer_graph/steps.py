"""A Keras model as a list of steps, each an operator or a part of one."""

import collections
import contextlib
import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.fake_quantized import hosted_tensors
from kure_tf.integer_graph.graph import Quantization
from kure_tf.settings.operating_point import FP

_TFMOT_WRAPPER = "QuantizeWrapperV2"  # Around layers without quantizers too.


class NoIntegerOperatorError(ValueError):
    """A layer that no integer operator computes."""


@dataclasses.dataclass(eq=False)
class Value:
    """One tensor between steps.

    Attributes:
        name: Name of the layer that makes it, or of a step in it.
        shape: Its shape without the batch, once `measure` has seen it.
        lowest, highest: The ends of what `measure` has seen.
        quantization: Its codes, where its operator or a quantizer says them.
    """

    name: str
    shape: tuple[int, ...] | None = None
    lowest: float = np.inf
    highest: float = -np.inf
    quantization: Quantization | None = None


@dataclasses.dataclass(eq=False)
class Step:
    """What makes one value.

    Attributes:
        kind: An operator of the integer graph, or what is folded into one:
            "AFFINE" (gain * x + shift), "RELU", "RELU6", "QUANTIZED" (by a
            quantizer); "IDENTITY" is nothing at all.
        inputs: The values that it reads.
        output: The value that it makes.
        compute: Function of the tensors of `inputs`, in float.
        layer: The layer that it comes from, with its quantizers.
        kernel: Attribute of the kernel of a linear operator.
        options: Plain values by name.
    """

    kind: str
    inputs: tuple[Value, ...]
    output: Value
    compute: Callable
    layer: object
    kernel: str | None
    options: dict

    @property
    def reads_the_layers_input(self):
        """Whether it is the first, or only, linear operator of its layer."""
        return self.kernel == compat.kernels_of(self.layer.layer)[0].attribute


@dataclasses.dataclass
class Steps:
    """A whole model: its inputs, its steps in order, its outputs."""

    inputs: list[Value]
    steps: list[Step] = dataclasses.field(default_factory=list)
    outputs: list[Value] = dataclasses.field(default_factory=list)


class LayerCall:
    """One call of a layer, as what reads a layer sees it.

    Attributes:
        layer: The layer, with its quantizers.
        inner: The layer that it computes: itself unless it hosts quantizers,
            and without spectral normalization.
        name: Its name.
        hosted: `{tensor: HostedTensor}` of these; empty if there are none.
        inputs: The values that it reads.
        args, kwargs: The arguments of the call, symbolic tensors among them.
    """

    def __init__(self, call, inputs, steps):
        self.layer, self.inputs, self._steps = call.layer, inputs, steps
        self.args, self.kwargs = call.args, call.kwargs
        self._first = len(steps)
        self.hosted = hosted_tensors(self.layer) or {}
        wrapped = self.hosted or type(self.layer).__name__ == _TFMOT_WRAPPER
        inner = self.layer.layer if wrapped else self.layer
        self.name, self.inner = inner.name, compat.plain_layer(inner)

    def add(
        self,
        kind,
        inputs,
        compute,
        kernel=None,
        quantization=None,
        **options,
    ) -> Value:
        """Adds a step of this layer; returns the value that it makes."""
        name = f"{self.name}/{kind.lower()}"
        output = Value(name, quantization=quantization)
        inputs = tuple(inputs)
        self._steps.append(
            Step(kind, inputs, output, compute, self.layer, kernel, options)
        )
        return output

    def leave_in_float(self):
        """Adds the layer in float, in place of the steps that it has so far."""
        del self._steps[self._first :]
        layers = (self.name,)
        return self.add("FLOAT", self.inputs, self.repeat, layers=layers)

    def compute(self, *tensors):
        """Computes the layer, without activation and quantizer of its output.

        Those are steps of their own.
        """
        with _linear(self.inner), _output_in_float(self.hosted):
            return self.layer(tensors[0] if len(tensors) == 1 else [*tensors])

    def repeat(self, *tensors):
        """Calls the layer as the graph does, on other tensors.

        Its kernels are those of the point; what it reads and what attention
        multiplies inside is in float.
        """
        left = iter(tensors)
        args, kwargs = tf.nest.map_structure(
            lambda leaf: next(left) if compat.is_symbolic(leaf) else leaf,
            (self.args, self.kwargs),
        )
        kernels = self._kernels_at_the_point()
        with compat.computing_with(self.inner, kernels, lambda loss: None):
            return self.inner(*args, **kwargs)

    def _kernels_at_the_point(self):
        found = []
        for kernel in compat.kernels_of(self.inner):
            hosted = self.hosted.get(kernel.name)
            if hosted is not None:
                with tf.init_scope():  # Values: the file is to hold no more.
                    variable = compat.full_precision(hosted.variable)
                    value = hosted.quantizer(variable, hosted.state).numpy()
                owner = kernel.owner_in(self.inner)
                found.append((owner, kernel.attribute, tf.constant(value)))
        return found

    def refuse(self, why):
        """Raises that this layer has no integer operator."""
        raise NoIntegerOperatorError(
            "Expected layers that LiteRT's integer operators compute. "
            f"Received: {type(self.inner).__name__} {self.name!r}: {why}"
        )


@contextlib.contextmanager
def _linear(layer):
    activation = getattr(layer, "activation", None)
    if not callable(activation) or isinstance(layer, keras.layers.Activation):
        yield
        return
    layer.activation = keras.activations.linear
    try:
        yield
    finally:
        layer.activation = activation


@contextlib.contextmanager
def _output_in_float(hosted):
    if "output" not in hosted:
        yield
        return
    bits = compat.tf_variable(hosted["output"].state.bits)
    before = bits.numpy()
    bits.assign(FP)
    try:
        yield
    finally:
        bits.assign(before)


def steps_of(model, read) -> Steps:
    """Returns the steps of a model, nested ones opened.

    Args:
        model: A functional or sequential model.
        read: Function of a `LayerCall` that adds the layer's steps and returns
            the value of its output.
    """
    tensors = tf.nest.flatten(compat.functional_inputs(model))
    found = Steps([Value(_port_name(tensor)) for tensor in tensors])
    found.outputs = _walk(model, found.inputs, found.steps, read)
    return found


def _port_name(tensor):
    return tensor.name.split(":")[0].split("/")[0]


def _walk(model, inputs, steps, read):
    """Adds the steps of one model's graph; returns its output values."""
    tensors = tf.nest.flatten(compat.functional_inputs(model))
    known = dict(zip(map(id, tensors), inputs, strict=True))
    for call in compat.calls_of(model):
        leaves = tf.nest.flatten((call.args, call.kwargs))
        given = [known[id(t)] for t in leaves if compat.is_symbolic(t)]
        if compat.is_graph_model(call.layer):
            made = _walk(call.layer, given, steps, read)
        else:
            layer_call = LayerCall(call, given, steps)
            _check_call(layer_call, call)
            made = [_named(read(layer_call), layer_call)]
        outputs = tf.nest.flatten(call.outputs)
        known.update(zip(map(id, outputs), made, strict=True))
    return [known[id(tensor)] for tensor in tf.nest.flatten(model.outputs)]


def _named(value, layer_call):
    """Gives what a layer puts out the name of the layer alone."""
    if value not in layer_call.inputs:
        value.name = layer_call.name
    return value


def _check_call(layer_call, call):
    if call.kwargs.get("training"):
        layer_call.refuse(
            "the graph calls it with training=True. Call it without."
        )
    if len(tf.nest.flatten(call.outputs)) != 1:
        layer_call.refuse("it has more than one output.")


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
            "on the calibration images: look at the images and at the weights "
            "of the layers before it."
        )
    value.shape = tuple(tensor.shape[1:])
    value.lowest = min(value.lowest, lowest)
    value.highest = max(value.highest, highest)
