"""A layer of one's own that says which kernels and inputs it has."""

import numpy as np
import tensorflow as tf

from kure_tf import (
    Kernel,
    compat,
    fake_quantize_model,
    kurtosis,
    regularize_kurtosis,
    set_operating_point,
)
from kure_tf.compat import keras, register_serializable
from kure_tf.fake_quantized import quantizers_of

layers = keras.layers


@register_serializable("own_layer_test")
class Bilinear(layers.Layer):
    """y = (x @ left) * (z @ right), with a regularizer for `left`."""

    def __init__(self, left_regularizer=None, **kwargs):
        super().__init__(**kwargs)
        self.left_regularizer = keras.regularizers.get(left_regularizer)

    def build(self, input_shape):
        options = {"shape": (3, 2), "initializer": "random_normal"}
        self.left = self.add_weight(
            name="left", regularizer=self.left_regularizer, **options
        )
        self.right = self.add_weight(name="right", **options)
        super().build(input_shape)

    def call(self, x, z):
        return tf.matmul(x, self.left) * tf.matmul(z, self.right)

    def compute_output_shape(self, x_shape, z_shape=None):
        return (*x_shape[:-1], 2)

    def get_config(self):
        regularizer = keras.regularizers.serialize(self.left_regularizer)
        return {**super().get_config(), "left_regularizer": regularizer}

    def kure_tf_kernels(self):
        return (Kernel("left", "left_regularizer"), Kernel("right", None))

    def kure_tf_inputs(self):
        return ("x", "z")


def _model():
    x, z = keras.Input((3,)), keras.Input((3,))
    return keras.Model([x, z], Bilinear(name="own")(x, z))


class OwnLayerTest(tf.test.TestCase):
    def test_its_kernels_and_inputs_are_quantized(self):
        model = _model()
        quantized = fake_quantize_model(model, "tflite")
        self.assertEqual(
            [*quantizers_of(quantized)],
            ["own/left", "own/right", "own/input", "own/z_input"],
        )
        inputs = [np.float32([[1, 2, 3]]), np.float32([[-1, 0, 1]])]
        self.assertAllClose(quantized(inputs), model(inputs))

        set_operating_point(quantized, "8/FP")
        left, right = (
            np.rint(w / (np.abs(w).max(0) / 127)) * (np.abs(w).max(0) / 127)
            for w in model.get_weights()
        )
        self.assertAllClose(
            quantized(inputs), (inputs[0] @ left) * (inputs[1] @ right)
        )

    def test_kure_takes_those_that_have_a_regularizer(self):
        regularized = regularize_kurtosis(
            _model(), 1.8, 2.0, layers=["own"], verbose=False
        )
        left = compat.full_precision(regularized.get_layer("own").left)
        self.assertAllClose(
            sum(regularized.losses), 2.0 * (kurtosis(left) - 1.8) ** 2
        )


if __name__ == "__main__":
    tf.test.main()
