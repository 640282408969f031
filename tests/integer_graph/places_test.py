"""LocallyConnected layers, of a kernel for each place, as exact files."""

import unittest

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from foretold_files import check_foretold
from litert_files import at_point, randomized

from kure_tf.compat import IS_KERAS_3, keras
from kure_tf.export import to_integer_graph
from kure_tf.fake_quantized import integer_weights, tflite_placement

layers = keras.layers


def _pictures(shape):
    random = np.random.default_rng(0)
    return random.normal(size=(24, *shape)).astype(np.float32)


def _made(layer, shape, before=None):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape)
    x = inputs if before is None else before(inputs)
    outputs = layers.Dense(3)(layers.Flatten()(layer(x)))
    return randomized(keras.Model(inputs, outputs))


@unittest.skipIf(IS_KERAS_3, "Keras 3 has no LocallyConnected layers.")
class PlacesTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(point=("8/8", "4/4"), use_bias=(True, False))
    def test_files_answer_what_is_foretold(self, point, use_bias):
        for layer, shape in (
            (
                layers.LocallyConnected2D(
                    5,
                    (3, 2),
                    strides=(2, 1),
                    activation="relu",
                    use_bias=use_bias,
                    bias_initializer="normal",
                ),
                (7, 6, 3),
            ),
            (
                layers.LocallyConnected1D(
                    3, 2, use_bias=use_bias, bias_initializer="normal"
                ),
                (6, 4),
            ),
        ):
            x = _pictures(shape)
            model = at_point(_made(layer, shape), x, point, tflite_placement())
            check_foretold(self, model, x, 25.0 if point == "8/8" else 20.0)

    def test_each_place_has_its_codes(self):
        layer = layers.LocallyConnected2D(2, 3, name="local")
        x = _pictures((5, 4, 2))
        model = at_point(
            _made(layer, x.shape[1:]), x, "4/8", tflite_placement()
        )
        graph = to_integer_graph(model, x)
        found = integer_weights(model)["local/kernel"]
        (weights,) = (
            weights
            for weights in graph.weights.values()
            if weights.path == "local/kernel"
        )
        codes = weights.codes.reshape(9 * 2, 6, 2)
        self.assertAllEqual(np.swapaxes(codes, 0, 1), found.codes)
        unit = graph.quantization(graph.inputs[0]).scale * weights.scales
        bias = layer.bias.numpy().ravel()
        self.assertAllClose(weights.biases * unit, bias, atol=1e-3)
