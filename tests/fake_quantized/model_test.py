"""Fake-quantized models: in float, traced once, copied, refused."""

import importlib

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from fake_quantized_models import (
    layers,
    make_functional,
    make_images,
    make_input,
    make_nested,
    make_sequential,
    make_steps,
    randomized,
)

from kure_tf import (
    fake_quantize_model,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.compat import IS_KERAS_3, keras
from kure_tf.evaluation import Evaluator
from kure_tf.fake_quantized import Placement, quantizers_of, tapping
from kure_tf.settings import all_points


def _shared():
    conv = layers.Conv2D(2, 3, padding="same", name="conv")
    inputs = make_input()
    x = layers.Concatenate()([conv(inputs), conv(layers.ReLU()(conv(inputs)))])
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(4, name="logits")(x))


def _shared_across_models():
    """One dense layer in the model and in a model nested in it."""
    dense = layers.Dense(4, name="dense")
    inside = make_input((4,))
    inner = keras.Model(inside, layers.ReLU()(dense(inside)), name="inner")
    inputs = make_input((4,))
    return keras.Model(inputs, layers.Add()([dense(inputs), inner(inputs)]))


class FloatTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        make=(make_functional, make_sequential, make_nested, _shared),
        policy=("float32", "mixed_bfloat16"),
    )
    def test_outputs_in_float_are_those_of_the_model_bit_for_bit(
        self, make, policy
    ):
        before = keras.mixed_precision.global_policy()
        keras.mixed_precision.set_global_policy(policy)
        self.addCleanup(keras.mixed_precision.set_global_policy, before)
        model = randomized(make())
        copy = fake_quantize_model(model, Placement())
        images = make_images()

        for run in (
            lambda m: m(images, training=False),
            lambda m: tf.function(lambda x: m(x, training=False))(images),
        ):
            expected = np.array(tf.cast(run(model), tf.float32))
            found = np.array(tf.cast(run(copy), tf.float32))
            self.assertTrue(np.array_equal(expected, found))

    @parameterized.parameters(
        make_functional, make_sequential, make_nested, _shared
    )
    def test_going_back_to_float_restores_the_outputs_bit_for_bit(self, make):
        model = randomized(make())
        copy = fake_quantize_model(model, Placement())
        set_step_sizes(copy, make_steps(copy))
        expected = model(make_images())

        set_operating_point(copy, "2/2")
        self.assertNotAllClose(expected, copy(make_images()))
        set_operating_point(copy, "FP/FP")

        self.assertTrue(np.array_equal(expected, copy(make_images())))

    def test_a_layer_shared_with_a_nested_model_stays_one_quantized_layer(self):
        model = randomized(_shared_across_models())
        copy = fake_quantize_model(model, Placement(activations=None))
        x = make_images(shape=(4,))
        self.assertAllEqual(model(x), copy(x))
        self.assertLen(copy.weights, 2 + 7)  # Dense, and one kernel's state.

        set_operating_point(copy, "2/FP")

        kernel, bias = model.get_weights()
        step = np.abs(kernel).max()
        y = x @ (np.clip(np.round(kernel / step), -1, 1) * step) + bias
        self.assertAllClose(copy(x), y + np.maximum(y, 0), atol=1e-5)

    def test_masks_reach_the_layers_behind(self):
        model = keras.Sequential(
            [
                keras.Input((4,)),
                layers.Embedding(9, 3, mask_zero=True),
                layers.Dense(3),
                layers.LSTM(2),
                layers.Dense(2),
            ]
        )
        tokens = np.array([[1, 2, 0, 0], [3, 0, 0, 0]])

        copy = fake_quantize_model(model, Placement())

        self.assertAllEqual(model(tokens), copy(tokens))


class TraceTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters("paper", "tflite")
    def test_a_whole_sweep_traces_the_evaluation_once(self, placement):
        x = inputs = make_input()
        for name in ("a", "b", "c"):
            x = layers.Conv2D(2, 3, padding="same", name=name)(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Dense(3, name="logits")(layers.Flatten()(x))
        copy = fake_quantize_model(keras.Model(inputs, x), placement)
        set_step_sizes(copy, make_steps(copy))
        evaluate = Evaluator([(make_images(4), np.arange(4) % 3)])
        points = all_points(
            ["{FP,8..2}/FP", "{8..3}", "{4/FP,3/3} x{0.7:1.3:0.05}"]
        )
        losses, traced = {}, []
        with tapping(copy, lambda path, *_: traced.append(path)):
            for point in points:
                set_operating_point(copy, point)
                losses[str(point)] = evaluate(copy)["loss"].value

        # Each quantizer's Python code ran once, while the graph was traced.
        self.assertCountEqual(traced, quantizers_of(copy))
        self.assertGreater(len(set(losses.values())), 20)  # They do differ.


class CopyTest(tf.test.TestCase, parameterized.TestCase):
    def _compiled(self):
        model = randomized(make_functional())
        loss = lambda y, p: tf.reduce_mean(tf.square(y - p), -1)  # noqa: E731
        model.compile(
            keras.optimizers.Adam(0.0123, beta_1=0.8),
            loss=loss,
            metrics=[keras.metrics.MeanAbsoluteError(name="mae"), "mse"],
        )
        images, targets = make_images(8), np.ones((8, 4), np.float32)
        model.train_on_batch(images, targets)
        return model, images, targets

    def test_the_copy_is_compiled_as_the_model(self):
        model, images, targets = self._compiled()

        copy = fake_quantize_model(model, Placement())

        self.assertAllClose(
            model.evaluate(images, targets, verbose=0),
            copy.evaluate(images, targets, verbose=0),
        )
        self.assertIsNot(copy.optimizer, model.optimizer)
        self.assertIsInstance(copy.optimizer, keras.optimizers.Adam)
        self.assertAlmostEqual(float(copy.optimizer.learning_rate), 0.0123, 6)
        self.assertEqual(copy.optimizer.get_config()["beta_1"], 0.8)

    def test_the_model_is_not_changed(self):
        model, images, targets = self._compiled()
        weights = model.get_weights()
        names = [layer.name for layer in model.layers]
        state = [np.array(v) for v in _variables(model.optimizer)]

        copy = fake_quantize_model(model, "tflite")
        set_operating_point(copy, "2/FP")
        copy.train_on_batch(images, targets)

        for before, after in zip(weights, model.get_weights(), strict=True):
            self.assertAllEqual(before, after)
        after = [np.array(v) for v in _variables(model.optimizer)]
        for a, b in zip(state, after, strict=True):
            self.assertAllEqual(a, b)
        self.assertEqual(names, [layer.name for layer in model.layers])
        self.assertFalse(quantizers_of(model))

    def test_frozen_layers_stay_frozen(self):
        model = make_functional()
        model.get_layer("conv").trainable = False

        copy = fake_quantize_model(model, Placement())

        self.assertFalse(copy.get_layer("conv").trainable)
        self.assertTrue(copy.get_layer("logits").trainable)
        self.assertLen(copy.trainable_weights, len(model.trainable_weights))


def _variables(optimizer):
    variables = optimizer.variables
    return variables() if callable(variables) else variables


class BadModelTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(np.nan, np.inf)
    def test_a_kernel_that_is_not_finite_names_layer_and_tensor(self, value):
        model = make_nested()
        inner = model.get_layer("inner").get_layer("deep")
        weights = inner.get_weights()
        weights[0][0, 0, 0, 0] = value
        inner.set_weights(weights)
        with self.assertRaisesRegex(
            ValueError, "'inner/deep' has 1 NaN.*in 'kernel'"
        ):
            fake_quantize_model(model)

    def test_an_unbuilt_model_is_refused(self):
        model = keras.Sequential([layers.Dense(2), layers.Dense(3)])
        with self.assertRaisesRegex(ValueError, "unbuilt.*input shape"):
            fake_quantize_model(model)

    def test_a_subclassed_model_is_refused(self):
        class Subclassed(keras.Model):
            def __init__(self):
                super().__init__()
                self.dense = layers.Dense(2)

            def call(self, inputs):
                return self.dense(inputs)

        model = Subclassed()
        model(np.ones((1, 3)))
        with self.assertRaisesRegex(TypeError, "subclassed.*'Subclassed'"):
            fake_quantize_model(model)

    def test_a_model_of_the_other_keras_is_refused(self):
        other = importlib.import_module("tf_keras" if IS_KERAS_3 else "keras")
        model = other.Sequential([other.Input((3,)), other.layers.Dense(2)])
        with self.assertRaises(TypeError) as raised:
            fake_quantize_model(model)
        message = str(raised.exception)
        active, given = (
            ("keras", "tf_keras") if IS_KERAS_3 else ("tf_keras", "keras")
        )
        self.assertIn(f"model of {active},", message)
        self.assertIn(f"model of {given}:", message)
        self.assertIn(f"TF_USE_LEGACY_KERAS={int(IS_KERAS_3)}", message)

    def test_something_else_is_refused(self):
        with self.assertRaisesRegex(TypeError, "Keras model.*str"):
            fake_quantize_model("model.keras")

    def test_nothing_to_quantize_is_refused_with_reasons(self):
        two = keras.Sequential(
            [
                keras.Input((3,)),
                layers.Dense(3, name="first"),
                layers.Dense(2, name="last"),
            ]
        )
        with self.assertRaisesRegex(ValueError, "'first': 'pinned to float'"):
            fake_quantize_model(two, "paper")
        none = keras.Sequential(
            [keras.Input((3,)), layers.LayerNormalization()]
        )
        with self.assertRaisesRegex(ValueError, "LayerNormalization has no"):
            fake_quantize_model(none, "tflite")

    def test_a_fake_quantized_model_is_refused_with_what_to_do(self):
        quantized = fake_quantize_model(make_sequential(), "tflite")
        message = "already.*set_operating_point.*strip_quantizers"
        with self.assertRaisesRegex(ValueError, message):
            fake_quantize_model(quantized, "tflite")

    def test_an_unknown_placement_is_refused(self):
        with self.assertRaisesRegex(ValueError, "paper.*tflite.*'onnx'"):
            fake_quantize_model(make_sequential(), "onnx")


if __name__ == "__main__":
    tf.test.main()
