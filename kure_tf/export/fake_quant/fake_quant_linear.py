"""A layer that computes a linear operator with its kernel on a grid."""

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.compat import register_serializable
from kure_tf.export.fake_quant.ends import fake_quant_ends
from kure_tf.export.fake_quant.float_operator import FloatOperator
from kure_tf.export.shared_operations import products

HIGHEST = {8: 127, 4: 7}
"""The highest level of a kernel in int8 and in int4; the lowest is minus it."""


@register_serializable("kure_tf")
class FakeQuantLinear(FloatOperator):
    """Computes a convolution or dense layer, its kernel by a FakeQuant.

        kernel = scale * clip(round(kernel / scale), -highest, highest)

    highest is 127, or 7 in an int4 container; a kernel of fewer bits uses fewer
    levels. The kernel is on the grid already, so that rounding changes nothing:
    the operator tells TFLite's converter the scale.

    Convolutions have an operator per channel, even if all channels share one
    scale: the converter takes no other. A dense layer with a scale for each
    channel, or on several axes, becomes a convolution of one pixel.

    Args:
        kind, options, shape: As for `FloatOperator`.
        kernel_shape: Shape of the codes.
        scales: How many scales the kernel has.
        container: Bits that the file gives each code: 8 or 4.
        **kwargs: As for `FloatOperator`.
    """

    def __init__(
        self, kind, options, shape, kernel_shape, scales, container=8, **kwargs
    ):
        super().__init__(kind, options, shape, **kwargs)
        self._kernel_shape = tuple(kernel_shape)
        self._scales, self.container = scales, container
        several = scales > 1 or len(shape) > 1
        self._as_pixels = kind == "FULLY_CONNECTED" and several
        if self._as_pixels:
            self._kernel_shape = (1, 1, *self._kernel_shape[-2:])
        self._per_channel = self._as_pixels or kind.endswith("CONV_2D")

    def build(self, input_shape):
        count = self.shape[-1]
        self.kernel = self._weight("kernel", self._kernel_shape)
        self.bias = self._weight("bias", (count,))
        ends = (count,) if self._per_channel else ()
        self.lowest = self._weight("lowest", ends)
        self.highest = self._weight("highest", ends)
        super().build(input_shape)

    def _weight(self, name, shape):
        return self.add_weight(
            name=name, shape=shape, initializer="ones", trainable=False
        )

    def set_values(self, weights, x_scale):
        """Writes the values of `Weights`, behind an input of that scale."""
        codes = weights.codes.reshape(self._kernel_shape)
        kernel = codes * self._along(weights.scales)
        self.kernel.assign(kernel.astype(np.float32))
        unit = np.float64(x_scale) * weights.scales
        self.bias.assign((weights.biases * unit).astype(np.float32))
        highest = HIGHEST[self.container]
        ends = fake_quant_ends(weights.scales, -highest, highest)
        for variable, end in zip(
            (self.lowest, self.highest), ends, strict=True
        ):
            shape = tuple(variable.shape)
            end = np.broadcast_to(end, shape or (1,)).reshape(shape)
            variable.assign(end)

    def _along(self, scales):
        """Returns scales in a shape that fits the codes."""
        if scales.size == 1:
            return scales
        if self.kind == "DEPTHWISE_CONV_2D":
            return scales.reshape(self._kernel_shape[-2:])
        return scales

    def computed(self, inputs):
        (x,) = inputs
        kernel = self._rounded(compat.full_precision(self.kernel))
        bias = compat.full_precision(self.bias)
        if not self._as_pixels:
            y = products(self.kind, self.options, x, kernel, self.shape)
            return tf.nn.bias_add(y, bias)
        pixels = tf.reshape(x, [-1, *self._image, x.shape[-1]])
        y = tf.nn.conv2d(pixels, kernel, 1, "VALID")
        return tf.nn.bias_add(y, bias)

    @property
    def _image(self):
        """Rows and columns of pixels, for an input on one axis or several."""
        *others, _ = self.shape
        return (1, 1) if not others else (int(np.prod(others[:-1])), others[-1])

    def call(self, inputs):
        y = super().call(inputs)
        return tf.reshape(y, [-1, *self.shape]) if self._as_pixels else y

    def _rounded(self, kernel):
        low, high = map(compat.full_precision, (self.lowest, self.highest))
        options = {"num_bits": self.container, "narrow_range": True}
        if not self._per_channel:
            return tf.quantization.fake_quant_with_min_max_vars(
                kernel, low, high, **options
            )
        if self.kind == "DEPTHWISE_CONV_2D":  # Channels are one axis there.
            rows, columns, *_ = self._kernel_shape
            kernel = tf.reshape(kernel, [rows, columns, 1, -1])
        kernel = tf.quantization.fake_quant_with_min_max_vars_per_channel(
            kernel, low, high, **options
        )
        return tf.reshape(kernel, self._kernel_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "kernel_shape": self._kernel_shape,
            "scales": self._scales,
            "container": self.container,
        }
