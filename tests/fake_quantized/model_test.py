import importlib
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import (
    KurtosisRegularizer,
    OperatingPoint,
    fake_quantize_model,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.compat import IS_KERAS_3, keras
from kure_tf.evaluation import Evaluator
from kure_tf.fake_quantized import Placement, operating_point_of, quantizers_of
from kure_tf.quantizers import UniformQuantizer
from kure_tf.settings import StepSizes, TensorStep
from kure_tf.sweeps import bit_width_points, step_size_points

layers = keras.layers
PER_CHANNEL = UniformQuantizer("narrow", "per_channel")


def _input(shape=(6, 6, 2)):
    return keras.Input(shape)


def _functional():
    x = inputs = _input()
    x = layers.Conv2D(3, 3, activation="relu", name="conv")(x)
    y = layers.BatchNormalization(name="norm")(x)
    x = layers.Add()([x, y])
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(4, name="logits")(x))


def _sequential():
    return keras.Sequential(
        [
            _input(),
            layers.Conv2D(3, 3, name="conv"),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(4, name="logits"),
        ]
    )


def _nested():
    inner = keras.Sequential(
        [_input((6, 6, 2)), layers.Conv2D(2, 3, padding="same", name="deep")],
        name="inner",
    )
    inputs = _input()
    x = layers.Conv2D(2, 1, name="conv")(inputs)
    x = layers.Flatten()(inner(inner(x)))
    return keras.Model(inputs, layers.Dense(4, name="logits")(x))


def _shared():
    conv = layers.Conv2D(2, 3, padding="same", name="conv")
    inputs = _input()
    x = layers.Concatenate()([conv(inputs), conv(layers.ReLU()(conv(inputs)))])
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(4, name="logits")(x))


def _shared_across_models():
    """One dense layer in the model and in a model nested in it."""
    dense = layers.Dense(4, name="dense")
    inside = _input((4,))
    inner = keras.Model(inside, layers.ReLU()(dense(inside)), name="inner")
    inputs = _input((4,))
    return keras.Model(inputs, layers.Add()([dense(inputs), inner(inputs)]))


def _randomized(model, seed=0):
    rng = np.random.default_rng(seed)
    model.set_weights(
        [
            # Variances of batch normalization among them: positive.
            np.abs(rng.normal(0.4, 0.3, w.shape)) + 0.01
            if w.ndim == 1
            else rng.normal(0, 0.3, w.shape)
            for w in model.get_weights()
        ]
    )
    return model


def _images(count=5, shape=(6, 6, 2), seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, *shape)).astype(np.float32)


def _steps(model, activation_bits=8):
    """Step sizes of 1/16 for all activations."""
    return StepSizes(
        {
            path: TensorStep(1 / 16, activation_bits, -1.0)
            for path, tensor in quantizers_of(model).items()
            if tensor.kind == "activation"
        }
    )


def _snapshot(model):
    return {
        path: np.array(value)
        for path, tensor in quantizers_of(model).items()
        for path, value in (
            (f"{path}.bits", tensor.state.bits),
            (f"{path}.calibrated", tensor.state.calibrated_bits),
            (f"{path}.scale", tensor.state.step_scale),
            (f"{path}.step", tensor.state.step_size),
            (f"{path}.origin", tensor.state.origin),
        )
    }


def _folder(test):
    folder = tempfile.TemporaryDirectory()
    test.addCleanup(folder.cleanup)
    return folder.name


class FloatTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        make=(_functional, _sequential, _nested, _shared),
        policy=("float32", "mixed_bfloat16"),
    )
    def test_outputs_in_float_are_those_of_the_model_bit_for_bit(
        self, make, policy
    ):
        before = keras.mixed_precision.global_policy()
        keras.mixed_precision.set_global_policy(policy)
        self.addCleanup(keras.mixed_precision.set_global_policy, before)
        model = _randomized(make())
        copy = fake_quantize_model(model, Placement())
        images = _images()

        for run in (
            lambda m: m(images, training=False),
            lambda m: tf.function(lambda x: m(x, training=False))(images),
        ):
            expected = np.array(tf.cast(run(model), tf.float32))
            found = np.array(tf.cast(run(copy), tf.float32))
            self.assertTrue(np.array_equal(expected, found))

    @parameterized.parameters(_functional, _sequential, _nested, _shared)
    def test_going_back_to_float_restores_the_outputs_bit_for_bit(self, make):
        model = _randomized(make())
        copy = fake_quantize_model(model, Placement())
        set_step_sizes(copy, _steps(copy))
        expected = model(_images())

        set_operating_point(copy, "2/2")
        self.assertNotAllClose(expected, copy(_images()))
        set_operating_point(copy, "FP/FP")

        self.assertTrue(np.array_equal(expected, copy(_images())))

    def test_a_layer_shared_with_a_nested_model_stays_one_quantized_layer(self):
        model = _randomized(_shared_across_models())
        copy = fake_quantize_model(model, Placement(activations=None))
        x = _images(shape=(4,))
        self.assertAllEqual(model(x), copy(x))
        self.assertLen(copy.weights, 2 + 6)  # Dense, and one kernel's state.

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
    def test_a_whole_sweep_traces_the_evaluation_once(self, scheme):
        x = inputs = _input()
        for name in ("a", "b", "c"):
            x = layers.Conv2D(2, 3, padding="same", name=name)(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Dense(3, name="logits")(layers.Flatten()(x))
        copy = fake_quantize_model(keras.Model(inputs, x), scheme)
        set_step_sizes(copy, _steps(copy))
        evaluate = Evaluator([(_images(4), np.arange(4) % 3)])
        points = [
            *bit_width_points(),
            *step_size_points(4),
            *step_size_points(3, 3),
        ]
        losses = {}
        for point in points:
            set_operating_point(copy, point)
            losses[str(point)] = evaluate(copy)["loss"]

        self.assertEqual(evaluate.step.experimental_get_tracing_count(), 1)
        self.assertGreater(len(set(losses.values())), 20)  # They do differ.


class CopyTest(tf.test.TestCase, parameterized.TestCase):
    def _compiled(self):
        model = _randomized(_functional())
        loss = lambda y, p: tf.reduce_mean(tf.square(y - p), -1)  # noqa: E731
        model.compile(
            keras.optimizers.Adam(0.0123, beta_1=0.8),
            loss=loss,
            metrics=[keras.metrics.MeanAbsoluteError(name="mae"), "mse"],
        )
        images, targets = _images(8), np.ones((8, 4), np.float32)
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
        model = _functional()
        model.get_layer("conv").trainable = False

        copy = fake_quantize_model(model, Placement())

        self.assertFalse(copy.get_layer("conv").trainable)
        self.assertTrue(copy.get_layer("logits").trainable)
        self.assertLen(copy.trainable_weights, len(model.trainable_weights))


def _variables(optimizer):
    variables = optimizer.variables
    return variables() if callable(variables) else variables


class TrainingTest(tf.test.TestCase):
    def test_training_through_the_rounding_lowers_the_loss(self):
        model = _randomized(_sequential())
        copy = fake_quantize_model(model, Placement())
        set_step_sizes(copy, _steps(copy))
        set_operating_point(copy, "3/4")
        copy.compile(keras.optimizers.Adam(0.01), "mse")
        images = _images(16)
        targets = np.random.default_rng(0).normal(size=(16, 4))
        before = copy.evaluate(images, targets, verbose=0)

        copy.fit(images, targets, epochs=15, verbose=0)

        self.assertLess(copy.evaluate(images, targets, verbose=0), before / 2)
        self.assertEqual(operating_point_of(copy), (3, 4))

    def test_regularizers_count_in_the_losses_as_before(self):
        x = inputs = _input((5,))
        x = layers.Dense(
            4,
            kernel_regularizer=KurtosisRegularizer(1.8),
            activity_regularizer=keras.regularizers.L2(0.1),
            bias_regularizer=keras.regularizers.L1(0.3),
        )(x)
        x = layers.Dense(2, kernel_regularizer=keras.regularizers.L2(0.2))(x)
        model = _randomized(keras.Model(inputs, x))
        copy = fake_quantize_model(model, Placement())
        x = _images(3, (5,))

        def losses(model):
            model(x)
            return sorted(float(loss) for loss in model.losses)

        self.assertLen(losses(model), 4)
        self.assertAllClose(losses(model), losses(copy))
        set_operating_point(copy, "3/FP")
        self.assertLen(losses(copy), 4)

    def test_regularizers_join_the_loss_of_training(self):
        model = keras.Sequential(
            [
                keras.Input((3,)),
                layers.Dense(
                    2,
                    kernel_regularizer=keras.regularizers.L2(1.0),
                    activity_regularizer=keras.regularizers.L2(1.0),
                ),
            ]
        )
        model.compile("sgd", "mse")
        copy = fake_quantize_model(model, Placement())
        x, y = _images(4, (3,)), np.zeros((4, 2))

        self.assertAllClose(
            model.evaluate(x, y, verbose=0), copy.evaluate(x, y, verbose=0)
        )


class SaveTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters("paper", "tflite")
    def test_a_keras_file_keeps_operating_point_and_step_sizes(self, scheme):
        x = inputs = _input()
        for name in ("a", "b", "c"):
            x = layers.Conv2D(2, 3, padding="same", name=name)(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
        outputs = layers.Dense(3, name="logits")(layers.Flatten()(x))
        copy = fake_quantize_model(
            _randomized(keras.Model(inputs, outputs)), scheme
        )
        set_step_sizes(copy, _steps(copy))
        set_operating_point(copy, "3/5 x1.1")
        path = _folder(self) + "/model.keras"
        copy.save(path)

        loaded = keras.models.load_model(path)

        self.assertAllEqual(copy(_images()), loaded(_images()))
        expected, found = _snapshot(copy), _snapshot(loaded)
        self.assertEqual(list(expected), list(found))
        for name in expected:
            self.assertAllEqual(expected[name], found[name])
        pins = [t.pinned_bits for t in quantizers_of(loaded).values()]
        self.assertEqual(8 in pins, scheme == "tflite")
        set_operating_point(loaded, "FP/FP")
        set_operating_point(copy, "FP/FP")
        self.assertAllEqual(copy(_images()), loaded(_images()))

    @parameterized.parameters(_functional, _nested)
    def test_a_weights_file_keeps_operating_point_and_step_sizes(self, make):
        first = fake_quantize_model(_randomized(make(), 0), Placement())
        second = fake_quantize_model(_randomized(make(), 1), Placement())
        set_step_sizes(first, _steps(first))
        set_operating_point(first, "4/4")
        path = _folder(self) + "/model.weights.h5"

        first.save_weights(path)
        second.load_weights(path)

        self.assertAllEqual(first(_images()), second(_images()))
        self.assertEqual(operating_point_of(second), (4, 4))


class OperatingPointTest(tf.test.TestCase, parameterized.TestCase):
    def _dense(self, quantizer=None, **placement):
        model = _randomized(
            keras.Sequential([keras.Input((5,)), layers.Dense(7, name="d")])
        )
        quantizer = quantizer or UniformQuantizer("narrow")
        copy = fake_quantize_model(
            model, Placement(weights=quantizer, **placement)
        )
        return copy, quantizers_of(copy)["d/kernel"]

    def _step(self, tensor):
        return np.array(tensor.quantizer.step_size(tensor.state))

    @parameterized.parameters(
        ("narrow", lambda b: 2.0 ** (b - 1) - 1),
        ("full", lambda b: 2.0 ** (b - 1) - 1),
        ("reference", lambda b: (2.0**b - 1) / 2),
        ("equation1", lambda b: 2.0 ** (b - 1)),
    )
    def test_the_clip_is_kept_when_bits_change(self, grid, extent):
        copy, tensor = self._dense(UniformQuantizer(grid))
        largest = np.abs(np.array(tensor.variable)).max()
        for bits in (8, 6, 4, 3, 2):
            set_operating_point(copy, f"{bits}/FP")
            self.assertAllClose(
                self._step(tensor), largest / extent(bits), rtol=1e-6
            )

    def test_the_clip_of_given_step_sizes_is_kept(self):
        copy, tensor = self._dense(activations=UniformQuantizer("asymmetric"))
        activation = quantizers_of(copy)["d/input"]
        set_step_sizes(
            copy,
            StepSizes(
                {
                    "d/kernel": TensorStep(0.1, 4),
                    "d/input": TensorStep(0.2, 5, -1.5),
                }
            ),
        )
        set_operating_point(copy, "3/8")
        self.assertAllClose(self._step(tensor), 0.1 * 7 / 3)
        self.assertAllClose(self._step(activation), 0.2 * 31 / 255)
        self.assertAllClose(activation.state.origin, -1.5)

    @parameterized.parameters(0.7, 0.95, 1.02, 1.3)
    def test_the_step_ratio_multiplies_weights_only(self, ratio):
        copy, tensor = self._dense()
        set_step_sizes(copy, _steps(copy))
        activation = quantizers_of(copy)["d/input"]
        set_operating_point(copy, "4/4")
        weight_step, step = self._step(tensor), self._step(activation)

        set_operating_point(copy, f"4/4 x{ratio}")

        self.assertAllClose(
            self._step(tensor), weight_step * np.float32(ratio), rtol=1e-7
        )
        self.assertAllEqual(self._step(activation), step)

    @parameterized.product(
        rounding=("pow2", "pow2-up"), granularity=("per_tensor", "per_channel")
    )
    def test_rounded_steps_are_the_right_powers_of_two(
        self, rounding, granularity
    ):
        copy, tensor = self._dense(UniformQuantizer("narrow", granularity))
        set_step_sizes(copy, _steps(copy))
        set_operating_point(copy, "3/4")
        plain = np.log2(self._step(tensor).astype(np.float64))

        set_operating_point(copy, f"3/4 {rounding}")

        whole = np.round(plain) if rounding == "pow2" else np.ceil(plain)
        # One unit in the last place: the ratio itself is rounded to float32.
        self.assertAllClose(self._step(tensor), 2.0**whole, rtol=2.0**-23)
        step = self._step(quantizers_of(copy)["d/input"])
        self.assertAllClose(np.log2(step), np.round(np.log2(step)), atol=1e-6)

    def test_a_ratio_multiplies_after_the_rounding(self):
        copy, tensor = self._dense()
        set_operating_point(copy, "3/FP pow2")
        step = self._step(tensor)
        set_operating_point(copy, "3/FP x1.1 pow2")
        self.assertAllClose(self._step(tensor), 1.1 * step, rtol=1e-6)

    def test_a_step_that_is_a_power_of_two_is_not_rounded_up_further(self):
        copy, tensor = self._dense()
        set_step_sizes(copy, StepSizes({"d/kernel": TensorStep(0.125, 4)}))
        set_operating_point(copy, "4/FP pow2-up")
        self.assertAllEqual(self._step(tensor), 0.125)

    def test_text_and_value_mean_the_same(self):
        copy, _ = self._dense()
        set_operating_point(copy, "3/fp x0.9")
        expected = _snapshot(copy)
        set_operating_point(copy, OperatingPoint(3, None, step_scale=0.9))
        self.assertAllClose(expected, _snapshot(copy))

    def test_one_bit_works_on_the_grid_without_zero(self):
        copy, tensor = self._dense(UniformQuantizer("reference"))
        set_operating_point(copy, "1/FP")
        kernel, bias = (
            np.array(tensor.variable),
            np.array(copy.layers[-1].layer.bias),
        )
        x = _images(3, (5,))
        half = np.abs(kernel).max()  # Levels at -half and half.
        expected = x @ np.where(kernel >= 0, half, -half) + bias
        self.assertAllClose(copy(x), expected, atol=1e-5)

    @parameterized.parameters(
        ("1/FP", "at least 2 bits on the grid 'narrow'"),
        ("17/FP", "integer in 2..16.*Received: 17"),
        ("0/FP", "Received: 0"),
        ("4-8", "'4/8'.*Received: '4-8'"),
        ("4/8 x", "Expected an operating point"),
        ("4/8", "'d/input' to be calibrated"),
    )
    def test_nothing_is_written_at_a_point_that_cannot_be(self, point, message):
        copy, _ = self._dense()
        before = _snapshot(copy)
        with self.assertRaisesRegex(ValueError, message):
            set_operating_point(copy, point)
        self.assertAllEqual(before, _snapshot(copy))

    @parameterized.named_parameters(
        (
            "unknown",
            {"d/kernel": (0.5, 4), "nowhere/kernel": (0.5, 4)},
            "unknown ones.*nowhere/kernel",
        ),
        (
            "shape",
            {"d/input": (0.5, 4), "d/kernel": ([0.1, 0.2], 4)},
            "shape.*'d/kernel'.*\\(2,\\)",
        ),
        (
            "bits",
            {"d/input": (0.5, 4), "d/kernel": (0.5, 1)},
            "at least 2 bits on the grid 'narrow'",
        ),
    )
    def test_wrong_step_sizes_write_nothing(self, steps, message):
        copy, _ = self._dense()
        before = _snapshot(copy)
        steps = StepSizes({n: TensorStep(*step) for n, step in steps.items()})
        with self.assertRaisesRegex(ValueError, message):
            set_step_sizes(copy, steps)
        self.assertAllEqual(before, _snapshot(copy))

    def test_step_sizes_of_another_kind_are_refused(self):
        copy, _ = self._dense()
        with self.assertRaisesRegex(TypeError, "Expected StepSizes.*dict"):
            set_step_sizes(copy, {"d/kernel": 0.1})

    def test_a_model_without_quantizers_is_refused(self):
        for change in (
            lambda m: set_operating_point(m, "4/FP"),
            lambda m: set_step_sizes(m, StepSizes({})),
        ):
            with self.assertRaisesRegex(ValueError, "fake_quantize_model"):
                change(_sequential())

    def test_one_step_fills_all_channels(self):
        copy, tensor = self._dense(PER_CHANNEL)
        set_step_sizes(copy, StepSizes({"d/kernel": TensorStep(0.3, 4)}))
        self.assertAllClose(tensor.state.step_size, np.full((1, 7), 0.3))

    def test_a_kernel_of_zeros_is_quantized_to_zeros(self):
        model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="d")])
        model.set_weights([np.zeros((3, 2)), np.ones(2)])
        for quantizer in (UniformQuantizer("narrow"), PER_CHANNEL):
            copy = fake_quantize_model(model, Placement(weights=quantizer))
            set_operating_point(copy, "4/FP")
            self.assertAllEqual(copy(_images(2, (3,))), np.ones((2, 2)))


class BadModelTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(np.nan, np.inf)
    def test_a_kernel_that_is_not_finite_names_layer_and_tensor(self, value):
        model = _nested()
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
        with self.assertRaisesRegex(ValueError, "LayerNormalization is no"):
            fake_quantize_model(none, "tflite")

    def test_an_unknown_scheme_is_refused(self):
        with self.assertRaisesRegex(ValueError, "paper.*tflite.*'onnx'"):
            fake_quantize_model(_sequential(), "onnx")


if __name__ == "__main__":
    tf.test.main()
