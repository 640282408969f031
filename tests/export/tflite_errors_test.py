import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from float_net import SHAPE, float_images, float_net

from kure_tf.compat import keras
from kure_tf.export import to_tflite
from kure_tf.export.converter import _error_lines


class ToTFLiteErrorTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(
        ("none", None, "Received: None. Give some hundred"),
        ("empty", [], "calibration examples. Received none"),
        (
            "empty_array",
            np.zeros((0, *SHAPE)),
            "calibration examples. Received none",
        ),
        (
            "wrong_shape",
            [np.zeros((2, 5, 6, 2))],
            r"\['batch', 6, 6, 2\].*Received: \[2, 5, 6, 2\]",
        ),
        ("single_images", float_images(), "Received: .6, 6, 2."),
        ("nan", [np.full((1, *SHAPE), np.nan)], "72 NaN or infinite"),
    )
    def test_unusable_calibration_sets(self, calibration, message):
        if message.startswith("Received: .6"):
            calibration = list(calibration)

        with self.assertRaisesRegex(ValueError, message):
            to_tflite(float_net(), calibration)

    def test_an_endless_calibration_set_is_refused(self):
        endless = tf.data.Dataset.from_tensor_slices(float_images()).batch(8)

        with self.assertRaisesRegex(ValueError, "remove .repeat"):
            to_tflite(float_net(), endless.repeat())

    def test_a_calibration_set_of_another_kind(self):
        with self.assertRaisesRegex(TypeError, "iterable of such batches.*int"):
            to_tflite(float_net(), 3)
        with self.assertRaisesRegex(ValueError, "dictionary of .'image'."):
            to_tflite(float_net(), [{"image": float_images()}])

    @parameterized.named_parameters(
        ("kernel", "conv", 0, "'conv' has 1 NaN or .* of 72 in 'kernel'"),
        ("variance", "norm", 3, "'norm' has 1 .* in 'moving_variance'"),
    )
    def test_nan_in_a_weight_names_layer_and_tensor(self, name, index, message):
        model = float_net()
        layer = model.get_layer(name)
        weights = layer.get_weights()
        weights[index].flat[0] = np.nan
        layer.set_weights(weights)

        with self.assertRaisesRegex(ValueError, message):
            to_tflite(model, float_images())

    def test_several_inputs_or_outputs_are_refused(self):
        a, b = keras.Input((4,)), keras.Input((4,))
        both = keras.layers.Add()([a, b])

        with self.assertRaisesRegex(ValueError, "has 2 inputs. Export a part"):
            to_tflite(keras.Model([a, b], both))
        with self.assertRaisesRegex(ValueError, "has 2 outputs"):
            to_tflite(keras.Model(a, [a, keras.layers.ReLU()(a)]))

    def test_models_that_are_no_built_graph_are_refused(self):
        unbuilt = keras.Sequential([keras.layers.Dense(2)])
        anything = keras.Sequential(
            [
                keras.Input((None, None, 2)),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(2),
            ]
        )

        with self.assertRaisesRegex(ValueError, "built model"):
            to_tflite(unbuilt, float_images())
        with self.assertRaisesRegex(ValueError, "known but for the batch"):
            to_tflite(anything, float_images())
        with self.assertRaisesRegex(TypeError, "Keras model. Received: str"):
            to_tflite("model", float_images())

    def test_unknown_modes_and_batch_sizes_are_refused(self):
        with self.assertRaisesRegex(ValueError, "'int4'"):
            to_tflite(float_net(), float_images(), mode="int4")
        with self.assertRaisesRegex(ValueError, "batch_size.*Received: 0"):
            to_tflite(float_net(), float_images(), batch_size=0)

    def test_the_lines_with_errors_reach_the_exception(self):
        class Unsupported(keras.layers.Layer):
            def call(self, x):
                return tf.linalg.logdet(tf.linalg.diag(tf.abs(x) + 1.0))[
                    :, tf.newaxis
                ] * tf.ones([1, 2])

        inputs = keras.Input((4,))
        model = keras.Model(inputs, Unsupported()(inputs), name="odd")

        with self.assertRaisesRegex(
            ValueError, r"refused the model 'odd'(.|\n)*error:.*\n"
        ) as caught:
            to_tflite(model, mode="float")

        self.assertNotIn("callsite", str(caught.exception))

    def test_error_lines_lose_their_call_stack_and_repetition(self):
        text = (
            "loc(callsite(a at b)): error: op is illegal\n"
            "INFO: fine\n"
            "loc(callsite(c at d)): error: op is illegal\n"
            "Some Error here\n"
        )

        self.assertEqual(
            _error_lines(text), ["error: op is illegal", "Some Error here"]
        )


if __name__ == "__main__":
    tf.test.main()
