"""What is in float unasked is counted and said."""

import warnings

import tensorflow as tf

from kure_tf import fake_quantize_model
from kure_tf.compat import keras
from kure_tf.fake_quantized import quantized_share

layers = keras.layers


class Block(layers.Layer):
    """A user's layer that hides a dense layer, 4 * 5 + 5 parameters."""

    def build(self, input_shape):
        self.dense = layers.Dense(5)
        self.dense.build(input_shape)
        super().build(input_shape)

    def call(self, inputs):
        return self.dense(inputs)


class QuantizedShareTest(tf.test.TestCase):
    def test_overlooked_layers_lower_it_and_are_named(self):
        inputs = keras.Input((4,))
        x = Block(name="block")(inputs)
        model = keras.Model(inputs, layers.Dense(3, name="logits")(x))
        self.assertAlmostEqual(quantized_share(model), 15 / (15 + 25))
        with self.assertWarnsRegex(UserWarning, "only 38 %.*block .Block, 25"):
            quantized = fake_quantize_model(model, "tflite")
        self.assertAlmostEqual(quantized_share(quantized), 15 / (15 + 25))

    def test_biases_normalization_slopes_and_pinned_layers_do_not(self):
        inputs = keras.Input((6, 6, 2))
        x = layers.PReLU()(layers.Conv2D(3, 3)(inputs))
        x = layers.BatchNormalization()(x)
        x = layers.Flatten()(layers.Conv2D(3, 3)(x))
        model = keras.Model(inputs, layers.Dense(3)(x))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            quantized = fake_quantize_model(model, "paper")
        self.assertEqual(quantized_share(model), 1.0)
        self.assertEqual(quantized_share(quantized), 1.0)

    def test_layers_of_text_models_count(self):
        inputs = keras.Input((6,), dtype="int32")
        x = layers.TimeDistributed(layers.Dense(4))(
            layers.Embedding(2000, 8)(inputs)
        )
        model = keras.Model(inputs, layers.Bidirectional(layers.LSTM(8))(x))
        self.assertEqual(quantized_share(model), 1.0)


if __name__ == "__main__":
    tf.test.main()
