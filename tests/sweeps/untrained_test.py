import warnings

import tensorflow as tf
from absl.testing import parameterized

from kure_tf import fake_quantize_model
from kure_tf.compat import keras
from kure_tf.fake_quantized import Placement
from kure_tf.sweeps.untrained import warn_if_untrained


def _model():
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Conv2D(2, 3, use_bias=False, name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Flatten(),
            keras.layers.Dense(2, name="logits"),
        ]
    )


class UntrainedTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(Placement(), "tflite")
    def test_a_model_as_it_was_made_is_warned_of(self, placement):
        with self.assertWarnsRegex(UserWarning, "look untrained"):
            warn_if_untrained(fake_quantize_model(_model(), placement))

    @parameterized.parameters(Placement(), "tflite")
    def test_one_step_of_training_is_enough(self, placement):
        model = _model()
        model.compile("sgd", keras.losses.MeanSquaredError())
        model.fit(tf.ones((4, 4, 4, 1)), tf.ones((4, 2)), verbose=0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warn_if_untrained(fake_quantize_model(model, placement))

    def test_a_model_of_kernels_alone_says_nothing(self):
        layer = keras.layers.Dense(2, use_bias=False)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warn_if_untrained(keras.Sequential([keras.Input((3,)), layer]))


if __name__ == "__main__":
    tf.test.main()
