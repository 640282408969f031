"""kure_tf's quantizers where tfmot expects its own."""

import dataclasses

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.fake_quantized.host import HostedTensor, Observed
from kure_tf.fake_quantized.taps import quantized
from kure_tf.fake_quantized.tensors import QuantizedTensor, prepared_rows
from kure_tf.qat.tfmot.imported import tfmot
from kure_tf.quantizers import QuantizerState


class TensorHost(Observed, tfmot.quantization.keras.quantizers.Quantizer):
    """A tfmot `Quantizer` that quantizes one tensor as a kure_tf one does.

    `build` makes the variables of `QuantizerState` in tfmot's wrapper, and
    notes them there so that `quantizers_of` finds them; calling it calls the
    kure_tf quantizer. A `QuantizeConfig` makes one for each tensor.

    Args:
        quantizer: A `kure_tf.quantizers.Quantizer`.
        tensor: "input", "output", or the attribute of the layer that holds the
            kernel: "kernel", "depthwise_kernel", ...
        channel_axes: Axes of the output channels, counted from the end.
        bits, first_range, pinned_bits, path: Of the tensor; see
            `HostedQuantizeConfig`.
    """

    def __init__(
        self,
        quantizer,
        tensor,
        *,
        channel_axes=(),
        bits=None,
        first_range=None,
        pinned_bits=None,
        path=None,
    ):
        self.quantizer = quantizer
        self.tensor = tensor
        self._channel_axes = channel_axes
        self._bits = bits
        self._first_range = first_range
        self._pinned_bits = pinned_bits
        self._path = path
        self._wrapper = None

    def build(self, tensor_shape, name, layer):
        """Returns the variables for one tensor, made in the wrapper `layer`."""
        _pin_weight_order(layer)
        self._wrapper = layer
        variable = getattr(layer.layer, self.tensor, None)
        if self.tensor in ("input", "output"):
            variable = None
        hosted = HostedTensor(
            quantizer=self.quantizer,
            state=self.quantizer.build(
                layer, self.tensor, tuple(tensor_shape), self._channel_axes
            ),
            pinned_bits=self._pinned_bits,
            variable=variable,
            layer_path=self._path or layer.layer.name,
        )
        if self._bits is not None:
            self._start(hosted)
        self._note(layer, hosted)
        # Not `asdict`, which would copy the variables.
        return {
            field.name: getattr(hosted.state, field.name)
            for field in dataclasses.fields(hosted.state)
        }

    def _note(self, layer, hosted):
        tensors = getattr(layer, "kure_tf_tensors", {})
        # Keras would wrap and track what is assigned the usual way; the
        # variables are tracked already.
        object.__setattr__(
            layer, "kure_tf_tensors", {**tensors, self.tensor: hosted}
        )
        if self.tensor == "output":
            object.__setattr__(layer, "observed_by", self.observed_by)

    def _start(self, hosted):
        lowest = 0.0
        if hosted.variable is None:
            lowest, highest = self._first_range
            step_size = self.quantizer.largest_step(
                np.array([lowest]), np.array([highest]), self._bits
            )
        else:
            tensor = QuantizedTensor(**vars(hosted), path="", layer=None)
            rows = prepared_rows(tensor)
            step_size = self.quantizer.initial_step_size(
                rows, rows.min(axis=1), rows.max(axis=1), self._bits
            )
        state = hosted.state
        state.step_size.assign(step_size.reshape(tuple(state.step_size.shape)))
        state.calibrated_bits.assign(self._bits)
        state.bits.assign(self._bits)
        if self.quantizer.grid.adaptive:
            state.origin.assign(min(lowest, 0.0))

    # Autograph takes longer to convert it than all the rest takes.
    @tf.autograph.experimental.do_not_convert
    def __call__(self, inputs, training, weights, **kwargs):
        self.observe(self._wrapper, self.tensor, inputs)
        return quantized(
            self.quantizer,
            compat.full_precision(inputs),
            QuantizerState(**weights),
        )

    def get_config(self):
        """Returns {}: the `QuantizeConfig` that makes it is saved instead."""
        return {}


class OutputHost(TensorHost):
    """Quantizes what a layer returns, and gives it its kernels back.

    tfmot calls it last. The layer would otherwise keep the quantized kernels
    of its last call, tensors of a graph that is gone, and could not be saved.

    Args:
        quantizer: A `kure_tf.quantizers.Quantizer`; None leaves the output.
        kernels: Names of the layer's attributes that hold its kernels.
        **options: As for `TensorHost`.
    """

    def __init__(self, quantizer, kernels, **options):
        super().__init__(quantizer, "output", **options)
        self._attributes = kernels

    def build(self, tensor_shape, name, layer):
        self._kernels = {
            attribute: getattr(layer.layer, attribute)
            for attribute in self._attributes
        }
        if self.quantizer is not None:
            return super().build(tensor_shape, name, layer)
        self._wrapper = layer
        return {}

    def __call__(self, inputs, training, weights, **kwargs):
        for attribute, variable in self._kernels.items():
            object.__setattr__(self._wrapper.layer, attribute, variable)
        if self.quantizer is None:
            return inputs
        return super().__call__(inputs, training, weights, **kwargs)


def _pin_weight_order(wrapper):
    """Puts the wrapped layer's own weights first in the wrapper's list.

    tfmot does so only if the layer was built before the wrapper. It was not
    when a model is loaded, and a trained step size would then change places
    with a kernel.
    """
    order = wrapper._trainable_weights
    known = {id(weight) for weight in order}
    order.extend(
        weight
        for weight in wrapper.layer._trainable_weights
        if id(weight) not in known
    )
