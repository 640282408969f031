"""A layer that computes another one with its kernel on a grid."""

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.compat import keras, register_serializable
from kure_tf.export.fake_quant.ends import fake_quant_ends
from kure_tf.integer_graph.kernels import channel_shape

HIGHEST = {8: 127, 4: 7}
"""The highest level of a kernel in int8 and in int4; the lowest is minus it."""


@register_serializable("kure_tf")
class FakeQuantKernel(keras.layers.Layer):
    """Computes a layer with its kernel rounded by a FakeQuant operator.

        kernel = scale * clip(round(kernel / scale), -highest, highest)

    highest is 127, or 7 in an int4 container; a kernel of fewer bits uses fewer
    levels. The kernel of `layer` is on the grid already, so that rounding
    changes nothing: the operator tells TFLite's converter the scale.

    Convolutions have an operator per channel, even if all channels share one
    scale: the converter takes no other. All the rest has one per tensor.

    Args:
        layer: A convolution, depthwise or transposed convolution, or dense
            layer.
        container: Bits that the file gives each code: 8 or 4.
        **kwargs: As for every Keras layer.
    """

    def __init__(self, layer, container=8, **kwargs):
        kwargs.setdefault("name", layer.name)
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.layer = layer
        self.container = container
        (self._kernel,) = compat.kernels_of(layer)

    def build(self, input_shape):
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True
        shape = tuple(self.variable.shape)
        self._depthwise = self._kernel.channel_axes == (-2, -1)
        channels = ()
        if self.per_channel:
            size = shape[-1] * (shape[-2] if self._depthwise else 1)
            channels = (size,)
        self.lowest, self.highest = (
            self._end(name, channels) for name in ("lowest", "highest")
        )
        super().build(input_shape)

    def _end(self, name, shape):
        return self.add_weight(
            name=name, shape=shape, initializer="ones", trainable=False
        )

    @property
    def variable(self):
        """The kernel's variable."""
        return getattr(self.layer, self._kernel.attribute)

    @property
    def per_channel(self):
        """Whether each output channel may have a scale of its own."""
        kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
        transposed = isinstance(self.layer, keras.layers.Conv2DTranspose)
        return isinstance(self.layer, kinds) and not transposed

    def set_codes(self, codes, scales, bias):
        """Writes the kernel `scales * codes`, its grid and the bias.

        Args:
            codes: Integers of the shape of the kernel.
            scales: Float32 `[1]`, or `[channels]` where `per_channel`.
            bias: Array `[channels]`; None if the layer has none.
        """
        along = scales
        if scales.size > 1:
            axes = self._kernel.channel_axes
            along = scales.reshape(channel_shape(codes.shape, axes))
        self.variable.assign((codes * along).astype(np.float32))
        highest = HIGHEST[self.container]
        ends = fake_quant_ends(scales, -highest, highest)
        for variable, end in zip(
            (self.lowest, self.highest), ends, strict=True
        ):
            shape = tuple(variable.shape)
            variable.assign(np.broadcast_to(end, shape or (1,)).reshape(shape))
        if bias is not None:
            self.layer.bias.assign(bias.astype(np.float32))

    def call(self, inputs):
        kernel = self._rounded(compat.full_precision(self.variable))
        tensors = {self._kernel.attribute: kernel}
        with compat.computing_with(self.layer, tensors, self.add_loss):
            return self.layer(inputs)

    def _rounded(self, kernel):
        ends = [
            compat.full_precision(end) for end in (self.lowest, self.highest)
        ]
        options = {"num_bits": self.container, "narrow_range": True}
        if not self.per_channel:
            return tf.quantization.fake_quant_with_min_max_vars(
                kernel, *ends, **options
            )
        shape = kernel.shape
        if self._depthwise:  # The operator's channels are the last axis.
            kernel = tf.reshape(kernel, [*shape[:2], 1, -1])
        kernel = tf.quantization.fake_quant_with_min_max_vars_per_channel(
            kernel, *ends, **options
        )
        return tf.reshape(kernel, shape) if self._depthwise else kernel

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "layer": keras.saving.serialize_keras_object(self.layer),
            "container": self.container,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["layer"] = keras.layers.deserialize(config["layer"])
        return cls(**config)
