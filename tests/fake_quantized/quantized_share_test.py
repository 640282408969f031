"""What is in float is counted and said."""

import warnings

import tensorflow as tf

from kure_tf import fake_quantize_model, run_sweep
from kure_tf.compat import keras
from kure_tf.fake_quantized import Placement, quantized_share

layers = keras.layers


class Block(layers.Layer):
    """A user's layer that hides a dense layer, 4 * 5 + 5 parameters."""

    def build(self, input_shape):
        self.dense = layers.Dense(5)
        self.dense.build(input_shape)
        super().build(input_shape)

    def call(self, inputs):
        return self.dense(inputs)


def _with_block():
    inputs = keras.Input((4,))
    x = Block(name="block")(inputs)
    return keras.Model(inputs, layers.Dense(3, name="logits")(x))


class QuantizedShareTest(tf.test.TestCase):
    def test_overlooked_layers_lower_it_and_are_named(self):
        with self.assertWarnsRegex(
            UserWarning,
            "37.5 % of the parameters and 42.9 % of the multiply-adds are "
            "quantized. In float: block .25 parameters, 20 multiply-adds: "
            "Block has no kernels",
        ):
            quantized = fake_quantize_model(_with_block(), "tflite")
        share = quantized_share(quantized)
        self.assertAlmostEqual(share.parameters, 15 / (15 + 25))
        self.assertAlmostEqual(share.multiply_adds, 15 / (15 + 20))

    def test_what_is_pinned_to_float_lowers_it(self):
        """Both convolutions see 4 x 4 places, 2 x 2 are left for the last."""
        inputs = keras.Input((6, 6, 2))
        x = layers.PReLU()(layers.Conv2D(3, 3, name="first")(inputs))
        x = layers.BatchNormalization()(x)
        x = layers.Flatten()(layers.Conv2D(5, 3)(x))
        model = keras.Model(inputs, layers.Dense(3, name="last")(x))
        with self.assertWarnsRegex(UserWarning, "first .54 parameters, 864"):
            share = quantized_share(fake_quantize_model(model, "paper"))
        self.assertAlmostEqual(share.parameters, 135 / (54 + 135 + 60))
        self.assertAlmostEqual(
            share.multiply_adds, 4 * 135 / (16 * 54 + 4 * 135 + 60)
        )
        self.assertEqual(list(share.rest), ["first", "last"])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            share = quantized_share(fake_quantize_model(model, "tflite"))
        self.assertEqual((share.parameters, share.multiply_adds), (1, 1))

    def test_the_state_of_recurrent_layers_counts(self):
        """6 steps, 5 to 7 numbers: 35 and 49 multiply-adds in each."""
        inputs = keras.Input((6, 5))
        x = layers.SimpleRNN(7, name="recurrent")(inputs)
        model = keras.Model(inputs, layers.Dense(2)(x))
        share = quantized_share(fake_quantize_model(model, "tflite"))
        self.assertEqual((share.parameters, share.multiply_adds), (1, 1))
        inputs_alone = fake_quantize_model(model, Placement(weights=None))
        (rest,) = [quantized_share(inputs_alone).rest["recurrent"]]
        self.assertEqual(rest.multiply_adds, 6 * (35 + 49))
        self.assertIn("the placement", rest.why)
        weights_alone = fake_quantize_model(model, Placement(activations=None))
        self.assertEqual(quantized_share(weights_alone).multiply_adds, 1)

    def test_products_of_activations_count(self):
        inputs = keras.Input((6, 4))
        x = layers.MultiHeadAttention(2, 2, name="attention")(inputs, inputs)
        x = layers.Dot(axes=(2, 2), name="dot")([x, inputs])
        model = keras.Model(inputs, layers.Dense(3)(x))
        with self.assertWarnsRegex(UserWarning, "dot .0 param.*, 144 multiply"):
            quantized = fake_quantize_model(model, "tflite")
        made = 4 * 6 * 16 + 2 * 6 * 6 * 4 + 6 * 18
        self.assertAlmostEqual(
            quantized_share(quantized).multiply_adds, made / (made + 6 * 6 * 4)
        )
        weights_alone = fake_quantize_model(model, Placement(activations=None))
        self.assertEqual(
            quantized_share(weights_alone).rest["attention"].multiply_adds,
            2 * 6 * 6 * 4,
        )

    def test_wrappers_count_as_what_they_wrap(self):
        inputs = keras.Input((4,))
        wrapped = layers.SpectralNormalization(layers.Dense(4), name="spectral")
        model = keras.Model(inputs, layers.Dense(4)(wrapped(inputs)))
        pinned = Placement(pinned={"spectral": "float"})
        with self.assertWarnsRegex(UserWarning, "16 parameters, 16 multiply"):
            quantized = fake_quantize_model(model, pinned)
        self.assertAlmostEqual(quantized_share(quantized).multiply_adds, 0.5)

    def test_reports_say_both(self):
        with self.assertWarns(UserWarning):
            quantized = fake_quantize_model(_with_block(), "tflite")
        report = run_sweep(
            quantized,
            ["4/FP"],
            evaluate=lambda _: {"accuracy": 0.5},
            examples=2,
            progress=False,
        )
        facts = report.runs[0].provenance
        self.assertEqual(facts["quantized_parameters"], "37.5 %")
        self.assertEqual(facts["quantized_multiply_adds"], "42.9 %")
        self.assertRegex(facts["left_in_float"]["block"], "25 parameters, 20 ")


if __name__ == "__main__":
    tf.test.main()
