import unittest

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

import kure_tf
from kure_tf import compat, data, training
from kure_tf.compat import IS_KERAS_3, keras
from kure_tf.evaluation import Evaluator
from kure_tf.fake_quantized import (
    Placement,
    integer_weights,
    operating_point_of,
    quantizers_of,
)
from kure_tf.quantizers import LSQQuantizer, UniformQuantizer

METHODS = ("lsq", "dorefa")


def _images(count=16, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 8, 8, 1)).astype(np.float32)


def _net(kernel_regularizer=None):
    """Three convolutions on digits; two are quantized where ends are float."""

    def conv(x, filters, index):
        x = keras.layers.Conv2D(
            filters,
            3,
            use_bias=False,
            kernel_regularizer=kernel_regularizer,
            name=f"conv{index}",
        )(x)
        x = keras.layers.BatchNormalization(name=f"bn{index}")(x)
        return keras.layers.ReLU(name=f"relu{index}")(x)

    inputs = keras.Input((8, 8, 1))
    x = conv(conv(conv(inputs, 4, 1), 6, 2), 8, 3)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(10, name="logits")(x))


def _compiled(model, metrics=()):
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=list(metrics),
    )
    return model


def _quantized(method="lsq", weight_bits=4, activation_bits=4, model=None, **o):
    return kure_tf.quantize_aware(
        model or _net(),
        method,
        weight_bits,
        activation_bits,
        calibration=[_images()],
        engine="native",
        verbose=False,
        **o,
    )


class QuantizeAwareTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(*METHODS)
    def test_the_copy_stands_at_the_point_and_the_model_is_unchanged(
        self, method
    ):
        model = _net()
        before = model.get_weights()
        outputs = model(_images())

        quantized = _quantized(method, 4, 3, model=model)

        self.assertEqual(operating_point_of(quantized), (4, 3))
        for one, other in zip(before, model.get_weights(), strict=True):
            self.assertAllEqual(one, other)
        self.assertNotAllClose(quantized(_images()), outputs, atol=1e-4)
        if method == "lsq":  # DoReFa's float is tanh(w).
            kure_tf.set_operating_point(quantized, "FP/FP")
            self.assertAllEqual(quantized(_images()), outputs)

    @parameterized.parameters(*METHODS)
    def test_gradients_reach_weights_and_steps(self, method):
        quantized = _quantized(method)
        steps = {
            path: float(compat.to_numpy(tensor.state.step_size))
            for path, tensor in quantizers_of(quantized).items()
        }
        kernel = quantizers_of(quantized)["conv2/kernel"].variable
        before = compat.to_numpy(kernel)
        _compiled(quantized).train_on_batch(_images(), np.arange(16) % 10)
        self.assertNotAllEqual(compat.to_numpy(kernel), before)
        for path, tensor in quantizers_of(quantized).items():
            now = float(compat.to_numpy(tensor.state.step_size))
            if method == "lsq":
                self.assertNotEqual(now, steps[path], path)
            else:
                self.assertEqual(now, steps[path], path)

    def test_first_steps_are_those_of_lsq(self):
        model = _net()
        quantized = _quantized(model=model, activation_start="paper")
        kernel = compat.to_numpy(model.get_layer("conv2").kernel)
        relu = keras.Model(model.inputs, model.get_layer("relu1").output)
        seen = np.asarray(relu(_images()))
        tensors = quantizers_of(quantized)
        self.assertAllClose(
            tensors["conv2/kernel"].state.step_size,
            2 * np.abs(kernel).mean() / np.sqrt(7),
            rtol=1e-5,
        )
        self.assertAllClose(
            tensors["conv2/input"].state.step_size,
            2 * np.abs(seen).mean() / np.sqrt(15),
            rtol=1e-5,
        )

    def test_both_ends_of_an_asymmetric_range_move_with_the_step(self):
        """A zero point that stays clips no more above than below."""
        model = _net()
        seen = np.asarray(
            keras.Model(model.inputs, model.get_layer("conv1").output)(
                _images()
            )
        )
        placement = Placement(
            activations=UniformQuantizer("asymmetric"), last_layer="float"
        )
        inputs = keras.Input((8, 8, 1))
        x = model.get_layer("conv1")(inputs)
        x = keras.layers.Conv2D(3, 3, name="next")(x)
        x = keras.layers.GlobalAveragePooling2D()(x)
        signed = keras.Model(inputs, keras.layers.Dense(10, name="end")(x))
        state = quantizers_of(_quantized(model=signed, placement=placement))[
            "next/input"
        ].state
        step = float(compat.to_numpy(state.step_size))
        largest = (seen.max() - seen.min()) / 15
        self.assertNotAlmostEqual(step, largest, places=3)
        self.assertAllClose(
            state.origin, seen.min() * step / largest, rtol=1e-3
        )

    def test_compilation_and_regularizers_are_kept(self):
        model = _net(kernel_regularizer="l2")
        model = kure_tf.regularize_kurtosis(_compiled(model), verbose=False)
        quantized = _quantized(model=model)
        self.assertAllClose(
            tf.add_n(quantized.losses), tf.add_n(model.losses), rtol=1e-6
        )
        quantized.train_on_batch(_images(), np.arange(16) % 10)

    def test_weights_alone_need_no_images(self):
        quantized = kure_tf.quantize_aware(
            _net(), "lsq", 3, None, engine="native", verbose=False
        )
        self.assertEqual(operating_point_of(quantized), (3, None))

    def test_per_channel_steps_follow_the_scheme(self):
        quantized = _quantized(placement="tflite")
        tensors = quantizers_of(quantized)
        self.assertEqual(
            tuple(tensors["conv2/kernel"].state.step_size.shape), (1, 1, 1, 6)
        )
        self.assertEqual(tensors["conv1/kernel"].pinned_bits, 8)
        self.assertIsInstance(tensors["conv1/kernel"].quantizer, LSQQuantizer)
        _compiled(quantized).train_on_batch(_images(), np.arange(16) % 10)

    def test_a_method_of_ones_own_is_taken(self):
        import dataclasses

        def mine(placement):
            return dataclasses.replace(
                placement, weights=UniformQuantizer(trainable=True)
            )

        quantized = kure_tf.quantize_aware(
            _net(), mine, 4, None, engine="native", verbose=False
        )
        self.assertIn(
            quantizers_of(quantized)["conv2/kernel"].state.step_size.name,
            [weight.name for weight in quantized.trainable_weights],
        )

    def test_what_is_quantized_and_what_is_not_is_reported(self):
        import contextlib
        import io

        with contextlib.redirect_stderr(io.StringIO()) as printed:
            kure_tf.quantize_aware(_net(), "lsq", 4, None, engine="native")
        text = printed.getvalue()
        self.assertIn("conv2: quantized", text)
        self.assertIn("conv1: not quantized: pinned to float", text)
        self.assertIn("The operating point is 4/FP", text)

    def test_nested_models_are_opened(self):
        inner = keras.Sequential(
            [
                keras.Input((6, 6, 4)),
                keras.layers.Conv2D(4, 3, name="conv"),
                keras.layers.ReLU(),
            ],
            name="inner",
        )
        inputs = keras.Input((8, 8, 1))
        x = inner(keras.layers.Conv2D(4, 3, name="first")(inputs))
        x = keras.layers.GlobalAveragePooling2D()(x)
        model = keras.Model(inputs, keras.layers.Dense(10, name="last")(x))
        quantized = _quantized(model=model)
        self.assertEqual(
            list(quantizers_of(quantized)),
            ["inner/conv/kernel", "inner/conv/input"],
        )
        _compiled(quantized).train_on_batch(_images(), np.arange(16) % 10)


class SweepTest(tf.test.TestCase):
    def test_all_points_go_through_one_compiled_function(self):
        quantized = _quantized()
        trained = {
            path: np.array(tensor.state.step_size)
            for path, tensor in quantizers_of(quantized).items()
        }
        evaluate = Evaluator([(_images(), np.arange(16) % 10)])
        points = ["FP/FP", "8/8", "4/FP", "4/4 x1.1", "3/4 pow2", "2/2"]
        report = kure_tf.run_sweep(
            quantized, points, evaluate=evaluate, progress=False
        )
        self.assertLen(report.runs[0].rows, len(points))
        self.assertEqual(evaluate.step.experimental_get_tracing_count(), 1)
        for path, tensor in quantizers_of(quantized).items():
            self.assertAllEqual(tensor.state.step_size, trained[path])


class SaveAndResumeTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(*METHODS)
    def test_keras_file_brings_steps_and_bits_back(self, method):
        quantized = _compiled(_quantized(method))
        quantized.train_on_batch(_images(), np.arange(16) % 10)
        kure_tf.set_operating_point(quantized, "3/4 x1.1")
        path = self.get_temp_dir() + "/model.keras"
        quantized.save(path)

        loaded = keras.models.load_model(path)

        self.assertEqual(operating_point_of(loaded), (3, 4))
        self.assertAllEqual(loaded(_images()), quantized(_images()))
        loaded.train_on_batch(_images(), np.arange(16) % 10)

    @unittest.skipIf(IS_KERAS_3, "Keras 3 does not load SavedModels.")
    @parameterized.parameters(*METHODS)
    def test_saved_model_brings_steps_and_bits_back(self, method):
        quantized = _compiled(_quantized(method))
        kure_tf.set_operating_point(quantized, "3/4 x1.1")
        path = self.get_temp_dir() + "/saved_model"
        quantized.save(path, save_format="tf")

        loaded = keras.models.load_model(path)

        self.assertEqual(operating_point_of(loaded), (3, 4))
        self.assertAllEqual(loaded(_images()), quantized(_images()))
        loaded.train_on_batch(_images(), np.arange(16) % 10)

    def test_weights_file_brings_steps_and_bits_back(self):
        quantized = _compiled(_quantized())
        quantized.train_on_batch(_images(), np.arange(16) % 10)
        path = self.get_temp_dir() + "/model.weights.h5"
        quantized.save_weights(path)
        other = _quantized(weight_bits=8, activation_bits=8)
        other.load_weights(path)
        self.assertEqual(operating_point_of(other), (4, 4))
        self.assertAllEqual(other(_images()), quantized(_images()))

    def test_a_killed_run_ends_with_the_same_weights(self):
        digits = data.digits()
        recipe = training.Recipe(
            2, learning_rate=0.01, train_images=256, weight_decay=1e-4
        )

        def fresh():
            keras.utils.set_random_seed(0)
            model = kure_tf.regularize_kurtosis(_net(), verbose=False)
            return _quantized(model=model)

        class Kill(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                if epoch == 1:
                    raise KeyboardInterrupt

        whole = fresh()
        training.fit(whole, digits, recipe, verbose=0)
        folder = self.get_temp_dir()
        with self.assertRaises(KeyboardInterrupt):
            training.fit(
                fresh(),
                digits,
                recipe,
                workdir=folder,
                callbacks=[Kill()],
                verbose=0,
            )
        resumed = fresh()
        result = training.fit(
            resumed, digits, recipe, workdir=folder, verbose=0
        )
        self.assertEqual(result.resumed_from, 1)
        for one, other in zip(
            whole.get_weights(), resumed.get_weights(), strict=True
        ):
            self.assertAllEqual(one, other)

    def test_a_checkpoint_of_another_method_is_refused(self):
        digits = data.digits()
        recipe = training.Recipe(1, learning_rate=0.01, train_images=64)
        folder = self.get_temp_dir()
        training.fit(_quantized(), digits, recipe, workdir=folder, verbose=0)
        with self.assertRaisesRegex(ValueError, "another run.*DoReFa"):
            training.fit(
                _quantized("dorefa"), digits, recipe, workdir=folder, verbose=0
            )


class LostStepTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(
        ("nan", np.nan, "NaN"), ("collapsed", 1e-9, "as good as zero")
    )
    def test_stops_with_the_tensor_and_the_checkpoint_kept(self, value, words):
        digits = data.digits()
        folder = self.get_temp_dir()
        recipe = training.Recipe(2, learning_rate=1e-9, train_images=64)

        class Break(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                if epoch == 1:
                    tensor = quantizers_of(self.model)["conv3/input"]
                    tensor.state.step_size.assign(value)

        with self.assertRaisesRegex(ValueError, f"conv3/input is.*{words}"):
            training.fit(
                _quantized(),
                digits,
                recipe,
                workdir=folder,
                callbacks=[Break()],
                verbose=0,
            )
        kept = training.fit(
            _quantized(), digits, recipe, workdir=folder, verbose=0
        )
        self.assertEqual(kept.resumed_from, 1)

    def test_nan_within_an_epoch_is_named_too(self):
        class Break(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                tensor = quantizers_of(self.model)["conv3/input"]
                tensor.state.step_size.assign(np.nan)

        with self.assertRaisesRegex(ValueError, "conv3/input is NaN"):
            training.fit(
                _quantized(),
                data.digits(),
                training.Recipe(
                    1, learning_rate=0.01, train_images=64, batch_size=32
                ),
                callbacks=[Break()],
                verbose=0,
            )


class BadInputTest(tf.test.TestCase):
    def test_unknown_method_and_engine_list_the_choices(self):
        with self.assertRaisesRegex(ValueError, "dorefa.*lsq.*'pact'"):
            _quantized("pact")
        with self.assertRaisesRegex(ValueError, "native.*tfmot.*'other'"):
            kure_tf.quantize_aware(_net(), "lsq", 4, None, engine="other")

    def test_activations_without_images_are_refused_with_the_way_out(self):
        with self.assertRaisesRegex(ValueError, "calibration.*activation_bits"):
            kure_tf.quantize_aware(_net(), engine="native")

    def test_bits_that_the_grid_lacks_are_refused(self):
        with self.assertRaisesRegex(ValueError, "2 bits.*narrow.*1"):
            _quantized(weight_bits=1)

    def test_a_subclassed_model_is_refused(self):
        class Mine(keras.Model):
            def call(self, x):
                return x

        with self.assertRaisesRegex(TypeError, "subclassed model 'Mine'"):
            _quantized(model=Mine())

    def test_bits_of_a_tensor_pinned_to_float_are_refused(self):
        quantized = _quantized()
        with self.assertRaisesRegex(ValueError, "'conv1'.*in float for good"):
            kure_tf.set_operating_point(quantized, "3/3", only=["conv1"])
        with self.assertRaisesRegex(ValueError, "'conv9'.*no such layer"):
            kure_tf.set_operating_point(quantized, "3/3", only="conv9")
        self.assertEqual(operating_point_of(quantized), (4, 4))


class MixedBitsTest(tf.test.TestCase):
    def test_layers_can_stand_at_bits_of_their_own(self):
        quantized = _quantized()
        kure_tf.set_operating_point(quantized, "2/8", only=["conv3"])
        kure_tf.set_operating_point(quantized, "6/4", only="conv2/kernel")
        bits = {
            path: int(compat.to_numpy(tensor.state.bits))
            for path, tensor in quantizers_of(quantized).items()
        }
        self.assertEqual(
            bits,
            {
                "conv2/kernel": 6,
                "conv2/input": 4,
                "conv3/kernel": 2,
                "conv3/input": 8,
            },
        )


class IntegerWeightsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        method=METHODS, bits=(2, 4, 8), placement=("paper", "tflite")
    )
    def test_codes_stand_for_the_weights_in_use(self, method, bits, placement):
        quantized = _quantized(method, bits, placement=placement)
        found = integer_weights(quantized)
        for path, tensor in quantizers_of(quantized).items():
            if tensor.kind != "weight":
                continue
            own = found[path]
            in_use = tensor.quantizer(
                compat.full_precision(tensor.variable), tensor.state
            )
            high = 2 ** ((tensor.pinned_bits or bits) - 1) - 1
            self.assertEqual(own.codes.dtype, np.int8)
            self.assertLessEqual(np.abs(own.codes.astype(int)).max(), high)
            self.assertEqual(own.levels, 2 * high + 1)
            self.assertEqual(own.zero_point, 0)
            self.assertTrue(own.deployable)
            self.assertAllClose(own.to_float(), in_use, rtol=1e-6, atol=1e-8)

    def test_mid_rise_grid_says_that_no_device_holds_it(self):
        from kure_tf.fake_quantized import paper_placement

        placement = paper_placement(weights=UniformQuantizer("reference"))
        quantized = _quantized("dorefa", 3, placement=placement)
        own = integer_weights(quantized)["conv2/kernel"]
        self.assertEqual((own.levels, own.zero_point), (8, -0.5))
        self.assertFalse(own.deployable)
        tensor = quantizers_of(quantized)["conv2/kernel"]
        in_use = tensor.quantizer(
            compat.full_precision(tensor.variable), tensor.state
        )
        self.assertAllClose(own.to_float(), in_use, rtol=1e-5)

    def test_more_than_8_bits_need_int16(self):
        own = integer_weights(_quantized(weight_bits=12))["conv2/kernel"]
        self.assertEqual(own.codes.dtype, np.int16)

    def test_a_model_in_float_is_refused_with_the_way_out(self):
        quantized = _quantized(weight_bits=None)
        with self.assertRaisesRegex(ValueError, "set_operating_point"):
            integer_weights(quantized)


if __name__ == "__main__":
    tf.test.main()
