"""Features of an input that share one step with much larger ones."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
from litert_files import at_point

from kure_tf.compat import keras
from kure_tf.export import to_integer_graph


def _graph(sizes):
    random = np.random.default_rng(0)
    x = random.normal(size=(64, 2)).astype(np.float32) * np.float32(sizes)
    normalization = keras.layers.Normalization()
    normalization.adapt(x)
    layers = [keras.Input((2,), name="x"), normalization, keras.layers.Dense(3)]
    model = at_point(keras.Sequential(layers), x, "8/8", "tflite")
    return to_integer_graph(model, x)


@pytest.mark.one_keras
class LostFeaturesTest(tf.test.TestCase):
    def test_a_feature_of_few_codes_is_named(self):
        with self.assertWarnsRegex(UserWarning, "'x'.* 1 of 2 .* feature 1"):
            _graph([100.0, 1.0])

    def test_features_of_one_size_are_not(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            _graph([1.0, 3.0])


if __name__ == "__main__":
    tf.test.main()
