"""One call of a layer, as what reads a layer sees it."""

import contextlib
import dataclasses

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.fake_quantized import hosted_tensors
from kure_tf.fake_quantized.taps import quantized
from kure_tf.integer_graph.graph import SAME_CODES
from kure_tf.integer_graph.grids import quantization_of
from kure_tf.integer_graph.steps import Step, Value
from kure_tf.settings.operating_point import FP

# FoldedAway is of kure_tf, QuantizeLayer of tensorflow-model-optimization.
_ROOTS = ("keras", "tf_keras", "kure_tf", "tensorflow_model_optimization")
_TFMOT_WRAPPER = "QuantizeWrapperV2"  # Around layers without quantizers too.


class NoIntegerOperatorError(ValueError):
    """A layer that no integer operator computes."""


class LayerCall:
    """One call of a layer, as what reads a layer sees it.

    Attributes:
        layer: The layer, with its quantizers.
        inner: The layer that it computes: itself unless it hosts quantizers,
            without `SpectralNormalization` and `TimeDistributed` around it.
        name: The name of that layer, or of what is around it.
        times: How many time steps each `TimeDistributed` around `inner` has;
            these are examples for its steps. () if there is none, or if that
            is not known: `inner` is `TimeDistributed` then.
        in_float: Whether the layer was left in float.
        hosted: `{tensor: HostedTensor}` of these; empty if there are none.
        inputs: The values that it reads.
        args, kwargs: The arguments of the call, symbolic tensors among them.
        outputs: The symbolic tensors that it makes.
        masks: The `CallMasks`.
    """

    def __init__(self, call, inputs, steps, masks):
        self.layer, self.inputs, self._steps = call.layer, inputs, steps
        self._given, self.masks = inputs, masks
        self.args, self.kwargs = call.args, call.kwargs
        self.outputs = tf.nest.flatten(call.outputs)
        self._first = len(steps)
        self.hosted = hosted_tensors(self.layer) or {}
        wrapped = self.hosted or type(self.layer).__name__ == _TFMOT_WRAPPER
        self._whole = self.layer.layer if wrapped else self.layer
        self.name, self.in_float = self._whole.name, False
        self.inner, depth = compat.without_wrappers(self._whole)
        self.times = _times(call, depth)
        if self.times is None:
            self.inner, self.times = self._whole, ()

    @property
    def is_known(self) -> bool:
        """Whether its class is not a user's, who may compute something else."""
        return type(self.inner).__module__.partition(".")[0] in _ROOTS

    def add(
        self,
        kind,
        inputs,
        compute,
        kernel=None,
        reads="input",
        quantization=None,
        like=None,
        **options,
    ) -> Value:
        """Adds a step of this layer; returns the value that it makes.

        Args:
            kind, inputs, compute, kernel, reads, options: See `Step`.
            quantization: Its codes, if they are known.
            like: A value whose range it has, too.
        """
        name = f"{self.name}/{kind.lower()}"
        output = Value(name, quantization=quantization)
        if like is not None:
            output.range = like.range
        inputs = tuple(inputs)
        self._steps.append(
            Step(
                kind,
                inputs,
                output,
                compute,
                self.layer,
                self.inner,
                kernel,
                reads,
                options,
            )
        )
        return output

    def affine(self, x, gain, shift=0.0, like=None) -> Value:
        """Adds gain * x + shift; each is a number, or one for each channel.

        Args:
            x, like: Values; see `add`.
        """
        return self.add(
            "AFFINE",
            [x],
            lambda x: (
                tf.cast(x, tf.float32) * np.float32(gain) + np.float32(shift)
            ),
            like=like,
            gain=gain,
            shift=shift,
        )

    def quantize(self, value, name, gain=1.0) -> Value:
        """Adds the quantizer of that name, if any; returns its value.

        Args:
            value: `gain` times the tensor that it rounds.
        """
        if (hosted := self.hosted.get(name)) is None:
            return value
        found = quantization_of(hosted, self.layer.name)
        scale = float(np.float32(found.scale * gain))
        return self.add(
            "QUANTIZED",
            [value],
            lambda x: self.rounded(name, x / gain) * gain,
            quantization=dataclasses.replace(found, scale=scale),
        )

    def leave_in_float(self):
        """Adds the layer in float, in place of the steps that it has so far."""
        del self._steps[self._first :]
        self.inputs, self.in_float = self._given, True
        return self.add(
            "FLOAT",
            self.inputs,
            self.repeat,
            layers=(self.name,),
            indices=self.reads_indices(),
        )

    @property
    def tensors(self) -> list:
        """The symbolic tensors that it reads, in the order of `inputs`."""
        leaves = tf.nest.flatten((self.args, self.kwargs))
        return [leaf for leaf in leaves if compat.is_symbolic(leaf)]

    def reads_indices(self) -> tuple[bool | None, ...]:
        """Returns which of its inputs are indices: whole numbers, not codes.

        None is one that may be: floats for a layer with an embedding inside.

        Raises:
            ValueError: If a layer makes them, which int8 codes would round.
        """
        # Keras' ReversibleEmbedding multiplies by its table, too.
        reverse = self.kwargs.get("reverse")
        embedding = () if reverse else keras.layers.Embedding
        looks_up = isinstance(self.inner, embedding)
        inside = any(
            isinstance(part, embedding)
            for part in getattr(self.inner, "_flatten_layers", tuple)()
        )
        found = []
        for tensor, value in zip(self.tensors, self.inputs, strict=True):
            sure, given = (
                looks_up or _are_indices(tensor),
                self.is_given(value),
            )
            if sure and not given:
                self.refuse(
                    "it reads indices that a layer makes, which int8 codes "
                    "would round. Give them to the model."
                )
            found.append(None if inside and given and not sure else sure)
        return tuple(found)

    def is_given(self, value) -> bool:
        """Whether a value is an input of the model, or moved from there."""
        for step in self._steps:
            if step.output is value:
                moved = step.kind in (*SAME_CODES, "IDENTITY")
                return moved and self.is_given(step.inputs[0])
        return True

    def merge_times(self):
        """Makes time steps examples, for all that reads `inputs` from now."""
        (value,) = self.inputs
        times, merged = value.merged or ((), None)
        if times != self.times:  # Else they just were.
            depth = len(self.times)
            merged = self.add("RESHAPE", [value], lambda x: _merged(x, depth))
        self.inputs = [merged]

    def part_times(self, value) -> Value:
        """Adds what makes examples time steps again; returns their value."""
        times = self.times
        parted = self.add("RESHAPE", [value], lambda x: _parted(x, times))
        parted.merged = times, value
        return parted

    def compute(self, *tensors):
        """Computes the layer, without activation and quantizer of its output.

        Those are steps of their own.
        """
        with _linear(self.inner), _output_in_float(self.hosted):
            return self._called(tensors[0] if len(tensors) == 1 else [*tensors])

    def _called(self, x):
        """Calls the layer; time steps are examples for the caller."""
        if not self.times:
            return self.layer(x)
        return _merged(self.layer(_parted(x, self.times)), len(self.times))

    def rounded(self, name, tensor):
        """Returns a tensor as the quantizer of that name rounds it, if any."""
        if (hosted := self.hosted.get(name)) is None:
            return tensor
        return quantized(hosted.quantizer, tensor, hosted.state)

    def repeat(self, *tensors):
        """Calls the layer as the graph does, on other tensors.

        Its kernels are those of the point; what it reads and what it
        multiplies inside (attention, a recurrent layer's state) is in float.
        Recurrent layers are unrolled: LiteRT has no loop of an open batch.
        """
        left = iter(tensors)
        args, kwargs = tf.nest.map_structure(
            lambda leaf: next(left) if compat.is_symbolic(leaf) else leaf,
            (self.args, self.kwargs),
        )
        kernels = self._kernels_at_the_point()
        with (
            compat.computing_with(self._whole, kernels, lambda loss: None),
            compat.step_by_step(self._whole, unrolled=True),
        ):
            return self._whole(*args, **kwargs)

    def _kernels_at_the_point(self):
        found = []
        for kernel in compat.kernels_of(self._whole):
            hosted = self.hosted.get(kernel.name)
            if hosted is not None:
                with tf.init_scope():  # Values: the file is to hold no more.
                    variable = compat.full_precision(hosted.variable)
                    value = hosted.quantizer(variable, hosted.state).numpy()
                owner = kernel.owner_in(self._whole)
                found.append((owner, kernel.attribute, tf.constant(value)))
        return found

    def refuse(self, why):
        """Raises that this layer has no integer operator."""
        raise NoIntegerOperatorError(
            "Expected layers that LiteRT's integer operators compute. "
            f"Received: {type(self.inner).__name__} {self.name!r}: {why}"
        )


def _are_indices(tensor):
    """Whether a tensor holds more than the 256 whole numbers of int8 codes."""
    dtype = tf.as_dtype(tensor.dtype)
    return dtype.is_integer and dtype.size > 1


def _times(call, depth):
    """Returns the sizes of the first axes of a call.

    None if not all are known, or if the call is given a mask of these axes.
    """
    leaves = tf.nest.flatten((call.args, call.kwargs))
    given = [leaf for leaf in leaves if compat.is_symbolic(leaf)]
    times = tuple(given[0].shape[1 : 1 + depth]) if given else ()
    return None if None in times or depth and len(given) > 1 else times


def _merged(x, depth):
    """Returns a tensor whose first axes of time steps are in its batch."""
    return tf.reshape(x, [-1, *x.shape[1 + depth :]])


def _parted(x, times):
    return tf.reshape(x, [-1, *times, *x.shape[1:]])


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
