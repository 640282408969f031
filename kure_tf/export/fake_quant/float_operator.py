"""A layer that computes an operator of an integer graph in float."""

import numpy as np
import tensorflow as tf

from kure_tf.compat import keras, register_serializable
from kure_tf.export.shared_operations import MOVES, moved


@register_serializable("kure_tf")
class FloatOperator(keras.layers.Layer):
    """Computes one operator on the values that its codes stand for.

    TensorFlow's operators are chosen so that TFLite's converter makes that one
    operator of them.

    Args:
        kind, options, activation: As in the `Operator`.
        shape: Shape of its output, without the batch.
        **kwargs: As for every Keras layer.
    """

    def __init__(self, kind, options, shape, activation="NONE", **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.kind, self.activation = kind, activation
        self.options = {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in options.items()
        }
        self.shape = tuple(shape)

    def call(self, inputs):
        inputs = tf.nest.flatten(inputs)
        return _ACTIVATIONS[self.activation](self.computed(inputs))

    def computed(self, inputs):
        """Returns the output before the activation function."""
        if self.kind in MOVES:
            return moved(self.kind, self.options, inputs, self.shape)
        return _COMPUTES[self.kind](self, *inputs)

    def compute_output_shape(self, input_shape):
        return (None, *self.shape)

    def get_config(self):
        return {
            **super().get_config(),
            "kind": self.kind,
            "options": self.options,
            "shape": self.shape,
            "activation": self.activation,
        }


def _prelu(layer, x):
    slopes = np.float32(layer.options["slopes"])
    slopes = slopes * np.float32(layer.options["slope_scale"])
    # In the words of Keras, which the converter knows.
    return tf.nn.relu(x) + -tf.constant(slopes) * tf.nn.relu(-x)


def _average_pool(layer, x):
    options = layer.options
    window = options["pool"], options["strides"], options["padding"]
    return tf.nn.avg_pool2d(x, *window)


_ACTIVATIONS = {
    "NONE": lambda x: x,
    "RELU": tf.nn.relu,
    "RELU6": tf.nn.relu6,
}
_COMPUTES = {
    "ADD": lambda layer, x, y: x + y,
    "AVERAGE_POOL_2D": _average_pool,
    "ELU": lambda layer, x: tf.nn.elu(x),
    "GELU": lambda layer, x: tf.nn.gelu(x),
    "HARD_SWISH": lambda layer, x: x * tf.nn.relu6(x + 3.0) * (1.0 / 6.0),
    "IDENTITY": lambda layer, x: x,
    "LEAKY_RELU": lambda layer, x: tf.nn.leaky_relu(x, layer.options["slope"]),
    "LOGISTIC": lambda layer, x: tf.sigmoid(x),
    "MEAN": lambda layer, x: tf.reduce_mean(x, layer.options["axes"]),
    "MINIMUM": lambda layer, x: tf.minimum(x, layer.options["highest"]),
    "MUL": lambda layer, x, y: x * y,
    "PRELU": _prelu,
    "RESIZE_BILINEAR": lambda layer, x: tf.image.resize(x, layer.shape[:2]),
    "SOFTMAX": lambda layer, x: tf.nn.softmax(x),
    "SUB": lambda layer, x, y: x - y,
    "TANH": lambda layer, x: tf.tanh(x),
}
