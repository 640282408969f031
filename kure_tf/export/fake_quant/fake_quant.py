"""A layer that rounds activations to a grid that int8 codes hold."""

import tensorflow as tf

from kure_tf.compat import keras, register_serializable
from kure_tf.export.fake_quant.ends import fake_quant_ends
from kure_tf.integer_graph.graph import Quantization


@register_serializable("kure_tf")
class FakeQuant(keras.layers.Layer):
    """Rounds to the values of int8 codes, by TensorFlow's FakeQuant operator.

        y = scale * (code - zero_point)
        code = clip(round(x / scale) + zero_point, lowest, 127)

    Fewer than 8 bits are the highest codes of the 256: saturation clips at the
    top, and after a ReLU at zero as well. Where the grid ends below zero but
    above code -128, a maximum clips.

    Args:
        scale: Distance of two codes, a float32 number.
        zero_point: The code of 0, in -128..127.
        lowest: The lowest code that occurs.
        again: Whether the input is on another grid already. The converter
            drops the second of two FakeQuants in a row; a minimum at the
            highest level, which changes nothing, keeps it.
        **kwargs: As for every Keras layer.
    """

    def __init__(self, scale, zero_point, lowest=-128, again=False, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.quantization = Quantization(
            float(scale), int(zero_point), int(lowest)
        )
        self.again = bool(again)
        self._ends = tuple(
            float(end)
            for end in fake_quant_ends(
                scale, -128 - zero_point, 127 - zero_point
            )
        )

    @classmethod
    def on(cls, quantization, **options):
        """Returns the layer for a `Quantization`."""
        return cls(
            quantization.scale,
            quantization.zero_point,
            quantization.lowest,
            **options,
        )

    def call(self, inputs):
        grid = self.quantization
        if self.again:
            inputs = tf.minimum(inputs, self._ends[1])
        if -128 < grid.lowest < grid.zero_point:
            inputs = tf.maximum(
                inputs, grid.scale * (grid.lowest - grid.zero_point)
            )
        return tf.quantization.fake_quant_with_min_max_vars(
            inputs, *self._ends, num_bits=8
        )

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "scale": self.quantization.scale,
            "zero_point": self.quantization.zero_point,
            "lowest": self.quantization.lowest,
            "again": self.again,
        }
