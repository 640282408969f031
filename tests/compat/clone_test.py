"""Copies of models."""

from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from graph_models import (
    MODELS,
    make_inputs,
    make_plain,
    nested_twice,
    plain_copy,
)

from kure_tf import compat
from kure_tf.compat import keras

WORDS = np.array([["red"], ["green"], ["blue"], ["red"]])
TABLES = (
    ("words", keras.layers.StringLookup(), WORDS, "string"),
    (
        "weighted_words",
        keras.layers.StringLookup(output_mode="tf_idf"),
        WORDS,
        "string",
    ),
    (
        "text",
        keras.layers.TextVectorization(output_sequence_length=1),
        WORDS,
        "string",
    ),
    (
        "integers",
        keras.layers.IntegerLookup(),
        np.array([[5], [7], [9]]),
        "int64",
    ),
    (
        "bins",
        keras.layers.Discretization(num_bins=3),
        np.arange(9.0)[:, None],
        "float32",
    ),
)


class _Twice(keras.layers.Layer):
    """A layer whose constructor takes whatever every layer's takes."""

    def __init__(self, **options):
        super().__init__(**options)

    def call(self, x):
        return 2 * x


class _NoConfig(keras.layers.Layer):
    def __init__(self, size):
        super().__init__(name="no_config")
        self.size = size

    def call(self, inputs):
        return inputs

    def get_config(self):
        return {"name": "no_config"}


def _with_operations():
    inputs = keras.Input((4,))
    x = keras.layers.Dense(4, name="dense")(inputs)
    return keras.Model(
        inputs, keras.layers.Dense(2, name="head")(x * 2.0 + 1.0)
    )


def _halved(x):
    return 0.5 * x


def _randomize(model):
    rng = np.random.default_rng(1)
    model.set_weights(
        [rng.uniform(0.5, 1.5, w.shape) for w in model.get_weights()]
    )


@keras.utils.register_keras_serializable("clone_test")
class _RandomFeatures(keras.layers.Layer):
    """Multiplies by numbers that are drawn once and are no weight."""

    def __init__(self, **options):
        super().__init__(**options)
        self.kernel_initializer = keras.initializers.RandomNormal(seed=3)

    def build(self, input_shape):
        self.drawn = self.kernel_initializer((input_shape[-1], 5))
        self.gain = self.add_weight(name="gain", shape=(5,))
        self.built = True

    def call(self, inputs):
        return tf.matmul(inputs, self.drawn) * self.gain


class CloneModelTest(tf.test.TestCase, parameterized.TestCase):
    def test_activations_and_lambdas_of_the_users_own_are_kept(self):
        """Neither a closure nor a global is in a configuration."""
        factor = 3.0

        def cubed(x):
            return factor * x**3

        inputs = keras.Input((4,))
        x = keras.layers.Dense(3, activation=cubed)(inputs)
        x = keras.layers.Lambda(
            lambda x, power: _halved(x**power), arguments={"power": 2}
        )(x)
        model = keras.Model(inputs, x)
        x = np.ones((2, 4), np.float32)

        self.assertAllEqual(compat.clone_model(model, plain_copy)(x), model(x))

    def test_weights_that_layers_share_are_refused(self):
        first = keras.layers.Dense(4, name="first")
        second = keras.layers.Dense(4, name="second", use_bias=False)
        inputs = keras.Input((4,))
        x = first(inputs)
        second(x)
        if compat.IS_KERAS_3:
            second._tracker.unlock()
            second._trainable_variables[:] = [first.kernel]
        else:
            second._trainable_weights = [first.kernel]
        second._kernel = second.kernel = first.kernel
        with self.assertRaisesRegex(TypeError, "'second' shares one of shape"):
            compat.clone_model(keras.Model(inputs, second(x)), plain_copy)

    @parameterized.parameters(*MODELS)
    def test_the_copy_computes_the_same_with_weights_of_its_own(self, name):
        model = MODELS[name][0]()
        _randomize(model)
        x = make_inputs(model)
        outputs = model(x)

        copy = compat.clone_model(model, plain_copy)

        tf.nest.map_structure(self.assertAllEqual, copy(x), outputs)
        self.assertEqual(copy.name, model.name)
        self.assertEqual(
            [path for path, _ in compat.layers_of(copy)],
            [path for path, _ in compat.layers_of(model)],
        )
        copy.set_weights([w * 0 for w in copy.get_weights()])
        tf.nest.map_structure(self.assertAllEqual, model(x), outputs)

    def test_an_adapted_normalization_stays_adapted(self):
        norm = keras.layers.Normalization()
        x = np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)
        norm.adapt(x)
        inputs = keras.Input((4,))
        model = keras.Model(inputs, keras.layers.Dense(2)(norm(inputs)))
        copy = compat.clone_model(model, plain_copy)
        self.assertAllEqual(copy(x), model(x))

    def test_no_random_values_are_made_for_a_copy(self):
        given = keras.initializers.HeNormal(seed=3)
        model = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(3, kernel_initializer=given)]
        )
        kernel = compat.to_numpy(model.layers[-1].kernel)

        with mock.patch.object(
            type(given), "__call__", side_effect=AssertionError("random")
        ):
            copy = compat.clone_model(model, plain_copy)

        copied = copy.layers[-1]
        self.assertIsInstance(copied.kernel_initializer, type(given))
        self.assertEqual(
            copied.get_config()["kernel_initializer"]["config"]["seed"], 3
        )
        self.assertAllEqual(compat.to_numpy(copied.kernel), kernel)
        copied.kernel.assign(np.zeros_like(kernel))
        self.assertAllEqual(compat.to_numpy(model.layers[-1].kernel), kernel)

    def test_operations_between_layers_are_copied(self):
        model = _with_operations()
        x = make_inputs(model)

        self.assertAllEqual(compat.clone_model(model, plain_copy)(x), model(x))

    def test_losses_that_layers_add_are_kept(self):
        model = make_plain()
        _randomize(model)
        x = make_inputs(model)
        model(x)

        copy = compat.clone_model(model, plain_copy)

        copy(x)
        self.assertAllClose(sum(copy.losses), sum(model.losses))

    def test_trainable_flags_are_kept(self):
        model = nested_twice()
        model.get_layer("head").trainable = False
        frozen = compat.clone_model(model, plain_copy)
        self.assertFalse(frozen.get_layer("head").trainable)
        self.assertLen(frozen.trainable_weights, 2)

        model.get_layer("middle").trainable = False
        frozen = compat.clone_model(model, plain_copy)
        self.assertEmpty(frozen.trainable_weights)

        leaf = next(compat.layers_of(model.get_layer("middle")))[1]
        leaf.trainable = True  # In a model that is not: tf_keras freezes it.
        frozen = compat.clone_model(model, plain_copy)
        self.assertLen(frozen.trainable_weights, len(model.trainable_weights))

        model.trainable = False
        self.assertFalse(compat.clone_model(model, plain_copy).trainable)

    def test_make_layer_gets_every_path_and_may_wrap(self):
        paths = []

        def make_layer(path, layer):
            paths.append(path)
            inner = compat.copy_layer(layer)
            if path != "b":
                return inner, inner
            return keras.layers.TimeDistributed(inner, name="b"), inner

        inputs = keras.Input((3, 4))
        dense = keras.layers.Dense(5, name="a")(inputs)
        model = keras.Model(inputs, keras.layers.Dense(2, name="b")(dense))
        copy = compat.clone_model(model, make_layer)

        self.assertEqual(paths, ["a", "b"])
        x = np.ones((1, 3, 4), np.float32)
        self.assertAllClose(copy(x), model(x))

    def test_activity_regularizers_are_kept(self):
        """Of layers, too, whose tf_keras configuration has none."""
        inputs = keras.Input((3,))
        outputs = keras.layers.ReLU(activity_regularizer="l2")(inputs)
        copy = compat.clone_model(keras.Model(inputs, outputs), plain_copy)
        copy(np.ones((2, 3), np.float32))
        self.assertLen(copy.losses, 1)
        self.assertAllClose(copy.losses[0], 0.03)

    def test_names_are_kept_of_layers_without_a_configuration(self):
        inputs = keras.Input((3,))
        model = keras.Model(inputs, _Twice(name="own")(inputs))
        copy = compat.clone_model(model, plain_copy)
        self.assertEqual(copy.layers[-1].name, "own")
        self.assertAllEqual(copy(np.ones((1, 3))), 2 * np.ones((1, 3)))

    def test_a_layer_that_cannot_be_copied_is_named(self):
        model = keras.Sequential([keras.Input((4,)), _NoConfig(3)])

        with self.assertRaisesRegex(TypeError, "no_config.*get_config"):
            compat.clone_model(model, plain_copy)

    def test_compilation_is_kept_with_an_optimizer_of_its_own(self):
        model = make_plain()

        def loss(y_true, y_pred):
            return tf.reduce_mean(tf.square(y_true - y_pred))

        model.compile(
            keras.optimizers.Adam(0.125, beta_1=0.5),
            loss,
            metrics=[keras.metrics.MeanAbsoluteError(name="error"), "mse"],
        )
        x, y = make_inputs(model), np.zeros((3, 2), np.float32)

        copy = compat.clone_model(model, plain_copy)

        self.assertIsNot(copy.optimizer, model.optimizer)
        self.assertAllClose(copy.optimizer.learning_rate, 0.125)
        self.assertAllClose(copy.optimizer.beta_1, 0.5)
        results = copy.evaluate(x, y, verbose=0, return_dict=True)
        expected = model.evaluate(x, y, verbose=0, return_dict=True)
        self.assertAllClose(results, expected)
        self.assertIn("error", results)
        copy.fit(x, y, verbose=0)
        # The model still has its own metrics and optimizer.
        self.assertAllClose(
            model.evaluate(x, y, verbose=0, return_dict=True), expected
        )

    def test_an_uncompiled_model_stays_uncompiled(self):
        copy = compat.clone_model(make_plain(), plain_copy)

        self.assertIsNone(getattr(copy, "optimizer", None))

    def test_what_an_initializer_makes_beside_weights_is_kept(self):
        model = keras.Sequential([keras.Input((4,)), _RandomFeatures()])
        x = np.ones((2, 4), np.float32)
        copy = compat.clone_model(model, plain_copy)
        self.assertAllEqual(copy(x), model(x))

    def test_a_layer_on_two_ways_has_the_path_that_it_is_listed_by(self):
        """Keras 3 copies by depth, and comes to "shared" by the other way."""
        entry = keras.Input((4,))
        inner = keras.Model(entry, keras.layers.Dense(2, name="shared")(entry))
        inputs = keras.Input((3, 4))
        steps = keras.layers.TimeDistributed(inner, name="steps")(inputs)
        once = inner(keras.layers.Flatten()(inputs[:, :1]))
        outputs = keras.layers.Flatten()(steps), keras.layers.Dense(6)(once)
        model = keras.Model(inputs, keras.layers.Add()(outputs))
        listed = {id(one): path for path, one in compat.layers_of(model)}
        self.assertIn("steps/shared", listed.values())

        def make_layer(path, layer):
            self.assertEqual(path, listed[id(layer)])
            return plain_copy(path, layer)

        compat.clone_model(model, make_layer)

    def test_a_layer_that_nested_models_share_stays_one(self):
        shared = keras.layers.Dense(3, name="shared")
        inputs = keras.Input((3,))
        branches = [
            keras.Model(entry, shared(entry))
            for entry in (keras.Input((3,)), keras.Input((3,)))
        ]
        outputs = keras.layers.Add()([branch(inputs) for branch in branches])
        model = keras.Model(inputs, outputs)

        copy = compat.clone_model(model, plain_copy)

        self.assertLen(copy.weights, 2)
        x = np.ones((2, 3), np.float32)
        self.assertAllEqual(copy(x), model(x))

    def test_a_training_step_that_would_be_lost_is_refused(self):
        class Stepping(keras.Sequential):
            def train_step(self, data):
                return super().train_step(data)

        model = Stepping([keras.Input((3,)), keras.layers.Dense(2)])

        with self.assertRaisesRegex(TypeError, "Stepping with a train_step"):
            compat.clone_model(model, plain_copy)

    def test_a_training_step_that_keras_keeps_is_kept(self):
        class Stepping(keras.Model):
            def train_step(self, data):
                return super().train_step(data)

        inputs = keras.Input((3,))
        model = Stepping(inputs, keras.layers.Dense(2)(inputs))

        copy = compat.clone_model(model, plain_copy)

        self.assertIs(type(copy), Stepping)

    @parameterized.named_parameters(*TABLES)
    def test_what_adapt_has_found_goes_along(self, layer, seen, dtype):
        layer.adapt(seen)
        inputs = keras.Input((1,), dtype=dtype)
        model = keras.Model(inputs, layer(inputs))
        x = tf.constant(seen, dtype)

        copy = compat.clone_model(model, plain_copy)

        self.assertAllEqual(copy(x), model(x))
        self.assertGreater(len(np.unique(copy(x))), 1)


if __name__ == "__main__":
    tf.test.main()
