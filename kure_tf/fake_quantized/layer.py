"""The layer that hosts quantizers around a Keras layer."""

import contextlib

import tensorflow as tf

from kure_tf import compat
from kure_tf.compat import keras, register_serializable
from kure_tf.fake_quantized.host import HostedTensor, Observed, hosted_tensors
from kure_tf.fake_quantized.taps import is_tapped, quantized
from kure_tf.quantizers import Quantizer


def _serialize(quantizer):
    return quantizer and keras.saving.serialize_keras_object(quantizer)


def _deserialize(config):
    if config is None or isinstance(config, Quantizer):
        return config
    return keras.saving.deserialize_keras_object(config)


@register_serializable("kure_tf")
class FakeQuantized(Observed, keras.layers.Layer):
    """Computes a layer with fake-quantized kernels, inputs and products.

    It takes the name of the layer it wraps, and its arguments when called. The
    quantizers' variables (step size, bits, ...) live here; at bits FP the
    outputs are those of the wrapped layer, bit for bit (of attention and of
    recurrent layers up to rounding: see `compat.changing_products`).

    Args:
        layer: A layer with kernels: see `compat.kernels_of`.
        weight_quantizer: `Quantizer` for each kernel of the layer, or None.
        input_quantizer: `Quantizer` for each input of the layer, for what
            attention multiplies inside, and for the outputs that a recurrent
            layer hands from one step, or one cell, to the next; None leaves
            them.
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
        # Past Keras' tracking: it is not there yet.
        object.__setattr__(self, "call", compat.call_like(layer, self))
        super().__init__(**kwargs)
        if not compat.kernels_of(layer):
            raise TypeError(
                "Expected a layer with kernels, such as a convolution or dense "
                f"layer. Received: {type(layer).__name__} {layer.name!r}: "
                f"{compat.why_no_kernels(layer)}. Leave it as it is."
            )
        self.layer = layer
        self.weight_quantizer = weight_quantizer
        self.input_quantizer = input_quantizer
        self.pinned_bits = pinned_bits
        # A mask has to reach the layers behind, as it did before.
        self.supports_masking = layer.supports_masking
        self.states = {}
        self._inputs = tuple(compat.inputs_of(layer))[:1]

    def __call__(self, *args, **kwargs):
        if not self.built:
            compat.build_for_call(self.layer, args, kwargs)
            self._inputs = compat.distinct_inputs(self.layer, args, kwargs)
        return super().__call__(*args, **kwargs)

    def build(self, input_shape=None):
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True
        self._found = compat.kernels_of(self.layer)
        if self.weight_quantizer is not None:
            for name, kernel in self._kernels.items():
                shape = tuple(kernel.variable_in(self.layer).shape)
                self._add_state(name, shape, kernel.channel_axes)
        if self.input_quantizer is not None:
            for tensor in (*self._inputs, *compat.products_of(self.layer)):
                self._add_state(tensor, ())
        super().build(input_shape)

    def _add_state(self, tensor, shape, channel_axes=()):
        # Keras would wrap and rename what is tracked through an attribute;
        # the variables are tracked by add_weight already.
        quantizer = self.quantizer_of(tensor)
        self.states[tensor] = quantizer.build(self, tensor, shape, channel_axes)

    def call(self, *args, **kwargs):
        args, kwargs, pairs = self._with_quantized_inputs(args, kwargs)
        args, kwargs = compat.by_name(self.layer, args, kwargs)
        with self._quantizing_inside(kwargs.get("training")):
            outputs = self.layer(*args, **kwargs)
        for before, after in pairs:
            compat.lose_mask_like(before, after)
        return outputs

    # Autograph, which tf_keras traces layers with, is for the layer alone: to
    # convert what is around it takes longer than all the rest.
    @tf.autograph.experimental.do_not_convert
    def _quantizing_inside(self, training):
        """Returns a context in which the layer has quantized tensors."""
        with contextlib.ExitStack() as stack:
            if self.weight_quantizer is not None:
                stack.enter_context(
                    compat.normalized_first(self.layer, training)
                )
                stack.enter_context(self._computing_with_quantized_kernels())
            if self.input_quantizer is not None:
                stack.enter_context(
                    compat.changing_products(
                        self.layer, self._quantized, unrolled=is_tapped()
                    )
                )
            return stack.pop_all()

    @property
    def _kernels(self):
        return {kernel.name: kernel for kernel in self._found}

    @tf.autograph.experimental.do_not_convert
    def _with_quantized_inputs(self, args, kwargs):
        tensors = {
            argument: tensor
            for tensor, argument in compat.inputs_of(self.layer).items()
        }
        done, pairs = {}, []

        def change(name, value):
            if name not in tensors or value is None:
                return value
            if isinstance(value, (list, tuple)):  # tf_keras adds RNN states.
                return [change(name, value[0]), *value[1:]]
            if id(value) not in done:  # Self-attention has one, not three.
                tensor = tensors[name]
                tensor = tensor if tensor in self.states else "input"
                done[id(value)] = self._quantized(tensor, value)
                pairs.append((value, done[id(value)]))
            return done[id(value)]

        args, kwargs = compat.with_arguments(self.layer, args, kwargs, change)
        return args, kwargs, pairs

    def _quantized(self, tensor, values):
        """Returns the values of an activation, quantized if it has a state."""
        self.observe(self, tensor, values)
        if tensor not in self.states:
            return values
        return compat.with_mask_of(
            values, quantized(self.input_quantizer, values, self.states[tensor])
        )

    def _computing_with_quantized_kernels(self):
        tensors = []
        for name, kernel in self._kernels.items():
            variable = compat.full_precision(kernel.variable_in(self.layer))
            tensor = quantized(
                self.weight_quantizer, variable, self.states[name]
            )
            owner = kernel.owner_in(self.layer)
            tensors.append((owner, kernel.attribute, tensor))
        return compat.computing_with(self.layer, tensors, self.add_loss)

    def compute_output_shape(self, *args, **kwargs):
        return self.layer.compute_output_shape(*args, **kwargs)

    def compute_output_spec(self, *args, **kwargs):
        return self.layer.compute_output_spec(*args, **kwargs)

    def compute_mask(self, *args, **kwargs):
        return self.layer.compute_mask(*args, **kwargs)

    def get_build_config(self):
        """Returns None: the calls of the graph build it, on all inputs."""
        return None

    def quantizer_of(self, tensor):
        """Returns the quantizer of the kernel or activation of that name."""
        if tensor in self._kernels:
            return self.weight_quantizer
        return self.input_quantizer

    @property
    def kure_tf_tensors(self):
        """`{tensor: HostedTensor}`: see `hosted_tensors`."""
        return {
            tensor: HostedTensor(
                quantizer=self.quantizer_of(tensor),
                state=state,
                pinned_bits=self.pinned_bits,
                variable=self._kernels[tensor].variable_in(self.layer)
                if tensor in self._kernels
                else None,
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
            tensor = (hosted or {}).get(kernel.name)
            if tensor is None:
                yield f"{path}/{kernel.name}", kernel.variable_in(inner)
            else:
                layer_path = tensor.layer_path or path
                yield f"{layer_path}/{kernel.name}", tensor.variable
