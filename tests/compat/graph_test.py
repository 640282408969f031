"""The graph of a model: layers, edges, outputs."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from graph_models import MODELS, make_plain, two_in_two_out

from kure_tf import compat
from kure_tf.compat import keras


class _Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)

    def call(self, inputs):
        return self.dense(inputs)


class GraphModelTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(*MODELS)
    def test_functional_and_sequential_models_pass(self, name):
        compat.check_graph_model(MODELS[name][0]())

    def test_layers_subclassed_models_and_others_do_not(self):
        subclassed = _Subclassed()
        subclassed(np.zeros((1, 3), np.float32))

        self.assertFalse(compat.is_graph_model(subclassed))
        self.assertFalse(compat.is_graph_model(keras.layers.Dense(2)))
        with self.assertRaisesRegex(TypeError, "subclassed.*functional API"):
            compat.check_graph_model(subclassed)
        for thing in ("model", None, keras.layers.Dense(2)):
            with self.assertRaisesRegex(TypeError, "sequential Keras model"):
                compat.check_graph_model(thing)

    def test_unbuilt_models_do_not(self):
        for model in (
            keras.Sequential(),
            keras.Sequential([keras.layers.Dense(2)]),
        ):
            with self.assertRaisesRegex(ValueError, "unbuilt.*input shape"):
                compat.check_graph_model(model)

    def test_a_sequential_model_that_was_called_passes(self):
        model = keras.Sequential([keras.layers.Dense(2)])
        model(np.zeros((1, 3), np.float32))

        compat.check_graph_model(model)

    @parameterized.parameters(*MODELS)
    def test_layers_are_listed_once_in_order_with_their_paths(self, name):
        make, paths = MODELS[name]

        self.assertEqual([path for path, _ in compat.layers_of(make())], paths)

    def test_edges_and_outputs_of_a_graph(self):
        model = two_in_two_out()

        edges = [(a.name, b.name) for a, b in compat.graph_edges(model)]

        self.assertCountEqual(
            edges,
            [
                ("left", "shared"),
                ("r", "shared"),
                ("shared", "inner"),
                ("inner", "add"),
                ("shared", "add"),
                ("add", "inner"),
                ("inner", "concatenate"),
                ("r", "concatenate"),
            ],
        )
        self.assertCountEqual(
            [layer.name for layer in compat.output_layers(model)],
            ["add", "concatenate"],
        )

    def test_edges_and_outputs_of_a_sequential_model(self):
        model = make_plain()

        edges = [(a.name, b.name) for a, b in compat.graph_edges(model)]

        self.assertIn(("a", "scaled"), edges)
        self.assertLen(edges, 5)
        self.assertEqual(
            [layer.name for layer in compat.output_layers(model)], ["b"]
        )

    def test_output_shape(self):
        model = make_plain()

        self.assertEqual(compat.output_shape(model.get_layer("a")), (None, 5))
        self.assertEqual(compat.output_shape(model), (None, 2))

    def test_kernels_that_are_no_variables_are_refused(self):
        if not compat.IS_KERAS_3:
            self.skipTest("Only Keras 3 has LoRA and a quantize of its own.")

        def net():
            return keras.Sequential(
                [keras.Input((3,)), keras.layers.Dense(2, name="dense")]
            )

        compat.check_kernels(net())
        adapted, coded = net(), net()
        adapted.layers[0].enable_lora(1)
        with self.assertRaisesRegex(ValueError, "'dense' is a sum.*LoRA"):
            compat.check_kernels(adapted)
        coded.quantize("int8")
        with self.assertRaisesRegex(ValueError, "'dense' holds codes.*'int8'"):
            compat.check_kernels(coded)


if __name__ == "__main__":
    tf.test.main()
