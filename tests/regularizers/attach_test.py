import contextlib
import io

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.regularizers import (
    KurtosisRegularizer,
    SumRegularizer,
    choose_kernels,
    regularize_kurtosis,
)


def _conv(filters, name, **options):
    return keras.layers.Conv2D(filters, 3, padding="same", name=name, **options)


def _functional():
    layers = keras.layers
    inputs = keras.Input((8, 8, 3))
    x = _conv(4, "first")(inputs)
    x = layers.BatchNormalization(name="bn")(x)
    left = _conv(5, "left", kernel_regularizer=keras.regularizers.L2(0.01))(x)
    right = layers.SeparableConv2D(5, 3, padding="same", name="right")(x)
    x = layers.ReLU()(layers.Add()([left, right]))
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(4, name="dense")(x))


def _sequential():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            _conv(4, "first"),
            _conv(4, "second"),
            keras.layers.Flatten(),
            keras.layers.Dense(4, name="dense"),
        ]
    )


def _nested():
    inner = keras.Sequential(
        [keras.Input((8, 8, 4)), _conv(4, "a"), _conv(4, "b")], name="inner"
    )
    inputs = keras.Input((8, 8, 3))
    x = inner(_conv(4, "first")(inputs))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(4, name="dense")(x))


def _shared():
    """One layer, and one nested model, that are called twice each."""
    shared = _conv(4, "shared")
    inner = keras.Sequential(
        [keras.Input((8, 8, 4)), _conv(4, "inside")], name="inner"
    )
    inputs = keras.Input((8, 8, 3))
    x = _conv(4, "first")(inputs)
    x = inner(shared(shared(inner(x))))
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))


# For each model, the kernels but the first.
MODELS = {
    "functional": (
        _functional,
        [
            "left/kernel",
            "right/depthwise_kernel",
            "right/pointwise_kernel",
            "depthwise/kernel"
            if compat.IS_KERAS_3
            else "depthwise/depthwise_kernel",
            "dense/kernel",
        ],
    ),
    "sequential": (_sequential, ["second/kernel", "dense/kernel"]),
    "nested": (_nested, ["inner/a/kernel", "inner/b/kernel", "dense/kernel"]),
    "shared": (_shared, ["inner/inside/kernel", "shared/kernel"]),
}


def _images():
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, 8, 8, 3)).astype(np.float32)


def _kernels(model):
    return {
        f"{path}/{kernel.attribute}": np.array(
            getattr(layer, kernel.attribute), np.float64
        )
        for path, layer in compat.layers_of(model)
        for kernel in compat.kernels_of(layer)
    }


def _term(kernel, target=1.8):
    d = kernel - kernel.mean()
    return (np.mean(d**4) / np.mean(d**2) ** 2 - target) ** 2


def _loss(model):
    return sum(float(loss) for loss in model.losses)


def _regularizers(model):
    return {
        path: [
            getattr(layer, kernel.regularizer)
            for kernel in compat.kernels_of(layer)
        ]
        for path, layer in compat.layers_of(model)
        if compat.kernels_of(layer)
    }


class RegularizeKurtosisTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(*MODELS)
    def test_losses_grow_by_the_term_of_equation_14(self, name):
        make, taken = MODELS[name]
        model = make()

        regularized = regularize_kurtosis(model, 2.0, 3.0, verbose=False)

        terms = [_term(_kernels(model)[path], 2.0) for path in taken]
        self.assertAllClose(
            _loss(regularized) - _loss(model), 3.0 * np.mean(terms), rtol=1e-4
        )

    @parameterized.parameters(*MODELS)
    def test_outputs_and_weights_are_the_same(self, name):
        model = MODELS[name][0]()

        regularized = regularize_kurtosis(model, verbose=False)

        self.assertIsNot(regularized, model)
        self.assertAllEqual(regularized(_images()), model(_images()))
        self.assertEqual(list(_kernels(regularized)), list(_kernels(model)))
        for ours, theirs in zip(
            regularized.get_weights(), model.get_weights(), strict=True
        ):
            self.assertAllEqual(ours, theirs)

    @parameterized.parameters(*MODELS)
    def test_the_original_is_unchanged(self, name):
        model = MODELS[name][0]()
        loss, weights = _loss(model), model.get_weights()
        regularizers = _regularizers(model)

        copy = regularize_kurtosis(model, verbose=False)
        copy.set_weights([weight + 1 for weight in weights])

        self.assertEqual(_loss(model), loss)
        self.assertEqual(_regularizers(model), regularizers)
        for now, before in zip(model.get_weights(), weights, strict=True):
            self.assertAllEqual(now, before)

    def test_a_regularizer_that_is_there_stays(self):
        model = _functional()

        regularized = regularize_kurtosis(model, layers=["left"], verbose=False)

        kernel = _kernels(model)["left/kernel"]
        self.assertAllClose(
            _loss(regularized),
            0.01 * np.sum(kernel**2) + _term(kernel),
            rtol=1e-4,
        )
        (regularizer,) = _regularizers(regularized)["left"]
        self.assertIsInstance(regularizer, SumRegularizer)

    def test_doing_it_twice_adds_up(self):
        model = _sequential()

        once = regularize_kurtosis(model, 1.8, 1.0, verbose=False)
        twice = regularize_kurtosis(once, 1.8, 1.0, verbose=False)

        self.assertAllClose(_loss(twice), 2 * _loss(once), rtol=1e-5)

    def test_per_channel_uses_the_output_channels_of_each_kernel(self):
        regularized = regularize_kurtosis(
            _functional(),
            granularity="per_channel",
            min_channel_std=0.05,
            verbose=False,
        )

        regularizers = _regularizers(regularized)
        self.assertEqual(
            [r.channel_axes for r in regularizers["right"]], [(-2, -1), (-1,)]
        )
        self.assertEqual(regularizers["depthwise"][0].channel_axes, (-2, -1))
        self.assertEqual(regularizers["dense"][0].channel_axes, (-1,))
        self.assertEqual(regularizers["dense"][0].granularity, "per_channel")
        self.assertEqual(regularizers["dense"][0].min_channel_std, 0.05)
        self.assertAllClose(regularizers["dense"][0].coefficient, 1 / 5)

    @parameterized.named_parameters(
        ("default", "all_but_first", ["left", "right", "depthwise", "dense"]),
        ("as_in_the_paper", "convs_but_first", ["left", "right", "depthwise"]),
        ("by_name", ["first", "dense"], ["first", "dense"]),
        ("one_tuple", ("dense",), ["dense"]),
        ("by_pattern", ["d*", "?ight"], ["right", "depthwise", "dense"]),
        ("by_rule", lambda layer: layer.name.startswith("d"), None),
    )
    def test_layers(self, layers, expected):
        taken, skipped = choose_kernels(_functional(), layers)

        expected = expected or ["depthwise", "dense"]
        self.assertEqual(list(taken), expected)
        everything = {"first", "bn", "left", "right", "depthwise", "dense"}
        self.assertEqual(set(skipped), everything - set(expected))

    def test_nested_layers_are_named_by_their_path_or_their_name(self):
        for names in (["inner/b", "dense"], ["b", "dense"]):
            taken, _ = choose_kernels(_nested(), names)
            self.assertEqual(list(taken), ["inner/b", "dense"])

    def test_it_says_what_was_taken_and_what_was_skipped_and_why(self):
        with contextlib.redirect_stderr(io.StringIO()) as said:
            regularize_kurtosis(_functional(), 1.8, 2.0)

        self.assertContainsSubsequence(
            said.getvalue().replace(",", "").split(),
            "5 kernels of 4 layers coefficient 2 / 5".split()
            + "left right depthwise dense.".split()
            + "first (the first layer);".split()
            + "bn (BatchNormalization has no kernels that".split(),
        )

    def test_it_can_be_quiet(self):
        with contextlib.redirect_stderr(io.StringIO()) as said:
            regularize_kurtosis(_sequential(), verbose=False)

        self.assertEmpty(said.getvalue())

    def test_compilation_and_frozen_layers_are_kept(self):
        model = _sequential()
        model.get_layer("dense").trainable = False
        model.compile(
            keras.optimizers.SGD(0.125, momentum=0.5), "mse", metrics=["mae"]
        )

        regularized = regularize_kurtosis(model, verbose=False)

        self.assertIsNot(regularized.optimizer, model.optimizer)
        self.assertAllClose(regularized.optimizer.learning_rate, 0.125)
        self.assertFalse(regularized.get_layer("dense").trainable)
        regularized.fit(_images(), np.zeros((2, 4)), verbose=0)
        self.assertIn(
            "mae",
            regularized.evaluate(
                _images(), np.zeros((2, 4)), verbose=0, return_dict=True
            ),
        )

    def test_training_lowers_the_kurtosis(self):
        model = regularize_kurtosis(_sequential(), verbose=False)
        model.compile(keras.optimizers.SGD(0.02), "mse")
        before = _term(_kernels(model)["second/kernel"])
        weights = _loss(model)

        model.fit(_images(), model(_images()), epochs=20, verbose=0)

        self.assertLess(_loss(model), 0.7 * weights)
        self.assertNotEqual(_term(_kernels(model)["second/kernel"]), before)

    def test_mixed_precision_keeps_its_policy(self):
        inputs = keras.Input((8, 8, 3))
        x = _conv(4, "first", dtype="mixed_bfloat16")(inputs)
        outputs = _conv(4, "second", dtype="mixed_bfloat16")(x)
        model = keras.Model(inputs, outputs)

        regularized = regularize_kurtosis(model, verbose=False)

        self.assertEqual(
            regularized.get_layer("second").compute_dtype, "bfloat16"
        )
        self.assertAllEqual(
            tf.cast(regularized(_images()), tf.float32),
            tf.cast(model(_images()), tf.float32),
        )
        self.assertAllClose(
            _loss(regularized), _term(_kernels(model)["second/kernel"]), 1e-4
        )


class _Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)

    def call(self, inputs):
        return self.dense(inputs)


@pytest.mark.one_keras
class RegularizeKurtosisErrorsTest(tf.test.TestCase, parameterized.TestCase):
    def test_names_that_are_not_there(self):
        with self.assertRaisesRegex(
            ValueError, r"\['dense', 'first', 'second'\].*\['third'\]"
        ):
            regularize_kurtosis(_sequential(), layers=["dense", "third"])

    def test_unknown_rule(self):
        with self.assertRaisesRegex(ValueError, "all_but_first.*'every'"):
            regularize_kurtosis(_sequential(), layers="every")

    @parameterized.named_parameters(
        ("none", None), ("number", 3), ("layer_objects", "objects")
    )
    def test_layers_of_the_wrong_kind(self, layers):
        model = _sequential()
        if layers == "objects":
            layers = model.layers

        with self.assertRaisesRegex(TypeError, "names.*function of a layer"):
            regularize_kurtosis(model, layers=layers)

    @parameterized.named_parameters(
        ("no_names", []), ("rule_without_a_hit", lambda layer: False)
    )
    def test_nothing_left(self, layers):
        with self.assertRaisesRegex(ValueError, "none is left.*`layers=`"):
            regularize_kurtosis(_sequential(), layers=layers)

    def test_a_single_layer_is_the_first(self):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])

        with self.assertRaisesRegex(ValueError, "the first layer"):
            regularize_kurtosis(model)

    def test_model_without_kernels(self):
        model = keras.Sequential([keras.Input((3,)), keras.layers.ReLU()])

        with self.assertRaisesRegex(ValueError, "it has none"):
            regularize_kurtosis(model)

    def test_unbuilt_model(self):
        with self.assertRaisesRegex(ValueError, "unbuilt.*input shape"):
            regularize_kurtosis(keras.Sequential([keras.layers.Dense(2)]))

    def test_subclassed_model(self):
        model = _Subclassed()
        model(np.zeros((1, 3), np.float32))

        with self.assertRaisesRegex(TypeError, "subclassed.*functional API"):
            regularize_kurtosis(model)

    def test_something_else(self):
        with self.assertRaisesRegex(TypeError, "Keras model.*str"):
            regularize_kurtosis("model.keras")

    def test_bad_target_leaves_the_model_alone(self):
        with self.assertRaisesRegex(ValueError, "at least 1"):
            regularize_kurtosis(_sequential(), 0.1, verbose=False)

    def test_a_kure_regularizer_needs_no_model(self):
        self.assertIsInstance(
            keras.layers.Dense(
                3, kernel_regularizer=KurtosisRegularizer()
            ).kernel_regularizer,
            KurtosisRegularizer,
        )


class FrozenLayersTest(tf.test.TestCase):
    def test_are_skipped_and_do_not_count(self):
        model = keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(3, name="first"),
                keras.layers.Dense(3, name="frozen"),
                keras.layers.Dense(3, name="last"),
            ]
        )
        model.get_layer("frozen").trainable = False

        regularized = regularize_kurtosis(model, verbose=False)

        self.assertLen(regularized.losses, 1)
        regularizer = regularized.get_layer("last").kernel_regularizer
        self.assertEqual(regularizer.coefficient, 1.0)
        self.assertFalse(regularized.get_layer("frozen").trainable)


if __name__ == "__main__":
    tf.test.main()
