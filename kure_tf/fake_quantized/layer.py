"""The layer that hosts quantizers around a Keras layer."""

import contextlib

from kure_tf import compat
from kure_tf.compat import keras, register_serializable
from kure_tf.fake_quantized.host import HostedTensor, Observed, hosted_tensors
from kure_tf.fake_quantized.taps import quantized
from kure_tf.quantizers import Quantizer


def _serialize(quantizer):
    return quantizer and keras.saving.serialize_keras_object(quantizer)


def _deserialize(config):
    if config is None or isinstance(config, Quantizer):
        return config
    return keras.saving.deserialize_keras_object(config)


@register_serializable("kure_tf")
class FakeQuantized(Observed, keras.layers.Layer):
    """Computes a layer with fake-quantized kernels and input.

    It takes the name of the layer it wraps. The quantizers' variables (step
    size, bits, ...) live here; at bits FP the outputs are those of the wrapped
    layer, bit for bit.

    Args:
        layer: A convolution or dense layer.
        weight_quantizer: `Quantizer` for each kernel of the layer, or None.
        input_quantizer: `Quantizer` for the layer's input, or None.
        pinned_bits: Bit-width that operating points do not change, for first
            and last layers; None follows the operating point.
        **kwargs: As for every Keras layer.

    Raises:
        TypeError: If `layer` has no kernel that can be quantized.
    """

    def __init__(
        self,
        layer,
        weight_quantizer=None,
        input_quantizer=None,
        pinned_bits=None,
        **kwargs,
    ):
        kwargs.setdefault("name", layer.name)
        policy = "dtype_policy" if compat.IS_KERAS_3 else "_dtype_policy"
        kwargs.setdefault("dtype", getattr(layer, policy))
        super().__init__(**kwargs)
        self._kernels = compat.kernels_of(layer)
        if not self._kernels:
            raise TypeError(
                "Expected a convolution or dense layer. Received: "
                f"{type(layer).__name__} {layer.name!r}, which has no kernel "
                "that kure_tf knows. Leave it as it is."
            )
        self.layer = layer
        self.weight_quantizer = weight_quantizer
        self.input_quantizer = input_quantizer
        self.pinned_bits = pinned_bits
        # A mask has to reach the layers behind, as it did before.
        self.supports_masking = layer.supports_masking
        self.states = {}

    def build(self, input_shape):
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True
        if self.weight_quantizer is not None:
            for kernel in self._kernels:
                shape = tuple(getattr(self.layer, kernel.attribute).shape)
                self._add_state(
                    kernel.attribute,
                    self.weight_quantizer,
                    shape,
                    kernel.channel_axes,
                )
        if self.input_quantizer is not None:
            self._add_state("input", self.input_quantizer, tuple(input_shape))
        super().build(input_shape)

    def _add_state(self, tensor, quantizer, shape, channel_axes=()):
        # Keras would wrap and rename what is tracked through an attribute;
        # the variables are tracked by add_weight already.
        self.states[tensor] = quantizer.build(self, tensor, shape, channel_axes)

    def call(self, inputs):
        self.observe(self, inputs)
        if self.input_quantizer is not None:
            inputs = quantized(
                self.input_quantizer, inputs, self.states["input"]
            )
        with self._computing_with_quantized_kernels():
            return self.layer(inputs)

    def _computing_with_quantized_kernels(self):
        if self.weight_quantizer is None:
            return contextlib.nullcontext()
        tensors = {}
        for kernel in self._kernels:
            name = kernel.attribute
            variable = getattr(self.layer, name)
            tensors[name] = quantized(
                self.weight_quantizer,
                compat.full_precision(variable),
                self.states[name],
            )
        return compat.computing_with(self.layer, tensors, self.add_loss)

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def quantizer_of(self, tensor):
        """Returns the quantizer of "input" or of the kernel of that name."""
        if tensor == "input":
            return self.input_quantizer
        return self.weight_quantizer

    @property
    def kure_tf_tensors(self):
        """`{tensor: HostedTensor}`: see `hosted_tensors`."""
        return {
            tensor: HostedTensor(
                quantizer=self.quantizer_of(tensor),
                state=state,
                pinned_bits=self.pinned_bits,
                variable=None
                if tensor == "input"
                else getattr(self.layer, tensor),
            )
            for tensor, state in self.states.items()
        }

    def get_config(self):
        return {
            **super().get_config(),
            "layer": keras.saving.serialize_keras_object(self.layer),
            "weight_quantizer": _serialize(self.weight_quantizer),
            "input_quantizer": _serialize(self.input_quantizer),
            "pinned_bits": self.pinned_bits,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        # Finds built-in classes in the form that a SavedModel keeps them, too.
        config["layer"] = keras.layers.deserialize(config["layer"])
        for name in ("weight_quantizer", "input_quantizer"):
            config[name] = _deserialize(config[name])
        return cls(**config)


def kernels_in(model):
    """Yields `(path, variable)` of every kernel, in graph order.

    Kernels are found in plain and in fake-quantized layers, under the same
    path: "layer/kernel".
    """
    for path, layer in compat.layers_of(model):
        hosted = hosted_tensors(layer)
        inner = layer if hosted is None else layer.layer
        for kernel in compat.kernels_of(inner):
            tensor = (hosted or {}).get(kernel.attribute)
            if tensor is None:
                yield (
                    f"{path}/{kernel.attribute}",
                    getattr(inner, kernel.attribute),
                )
            else:
                layer_path = tensor.layer_path or path
                yield f"{layer_path}/{kernel.attribute}", tensor.variable
