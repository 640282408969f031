"""What is in float unasked is counted and said."""

import warnings

import tensorflow as tf

from kure_tf import fake_quantize_model
from kure_tf.compat import keras
from kure_tf.fake_quantized import quantized_share

layers = keras.layers


def _text_model():
    """Of 2,000 * 8 + 4 * 8 * (8 + 8 + 1) + 8 * 3 parameters, 24 are known."""
    inputs = keras.Input((6,), dtype="int32")
    x = layers.LSTM(8, name="memory")(layers.Embedding(2000, 8)(inputs))
    return keras.Model(inputs, layers.Dense(3, name="logits")(x))


class QuantizedShareTest(tf.test.TestCase):
    def test_overlooked_layers_lower_it_and_are_named(self):
        model, placement = _text_model(), "tflite"
        expected = 24 / (24 + 2000 * 8 + 4 * 8 * 17)
        self.assertAlmostEqual(quantized_share(model), expected)
        with self.assertWarnsRegex(UserWarning, "only 0 %.*memory .LSTM, 544"):
            quantized = fake_quantize_model(model, placement)
        self.assertAlmostEqual(quantized_share(quantized), expected)

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

    def test_layers_within_a_wrapper_are_overlooked(self):
        inputs = keras.Input((3, 4))
        x = layers.TimeDistributed(layers.Dense(5), name="each")(inputs)
        model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
        self.assertAlmostEqual(quantized_share(model), 30 / (30 + 25))
        with self.assertWarnsRegex(UserWarning, "each .TimeDistributed, 25"):
            fake_quantize_model(model, "tflite")


if __name__ == "__main__":
    tf.test.main()
