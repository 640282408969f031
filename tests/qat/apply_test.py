"""Models made quantization-aware."""

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from qat_models import (
    METHODS,
    compiled,
    make_images,
    make_net,
    make_quantized,
)

import kure_tf
from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.evaluation import Evaluator
from kure_tf.fake_quantized import (
    Placement,
    operating_point_of,
    quantizers_of,
    tapping,
)
from kure_tf.quantizers import LSQQuantizer, UniformQuantizer


class QuantizeAwareTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(*METHODS)
    def test_the_copy_stands_at_the_point_and_the_model_is_unchanged(
        self, method
    ):
        model = make_net()
        before = model.get_weights()
        outputs = model(make_images())

        quantized = make_quantized(method, 4, 3, model=model)

        self.assertEqual(operating_point_of(quantized), (4, 3))
        for one, other in zip(before, model.get_weights(), strict=True):
            self.assertAllEqual(one, other)
        self.assertNotAllClose(quantized(make_images()), outputs, atol=1e-4)
        if method == "lsq":  # DoReFa's float is tanh(w).
            kure_tf.set_operating_point(quantized, "FP/FP")
            self.assertAllEqual(quantized(make_images()), outputs)

    @parameterized.parameters(*METHODS)
    def test_gradients_reach_weights_and_steps(self, method):
        quantized = make_quantized(method)
        steps = {
            path: float(compat.to_numpy(tensor.state.step_size))
            for path, tensor in quantizers_of(quantized).items()
        }
        kernel = quantizers_of(quantized)["conv2/kernel"].variable
        before = compat.to_numpy(kernel)
        compiled(quantized).train_on_batch(make_images(), np.arange(16) % 10)
        self.assertNotAllEqual(compat.to_numpy(kernel), before)
        for path, tensor in quantizers_of(quantized).items():
            now = float(compat.to_numpy(tensor.state.step_size))
            if method == "lsq":
                self.assertNotEqual(now, steps[path], path)
            else:
                self.assertEqual(now, steps[path], path)

    @pytest.mark.one_keras
    def test_first_steps_are_those_of_lsq(self):
        model = make_net()
        quantized = make_quantized(model=model, activation_start="paper")
        kernel = compat.to_numpy(model.get_layer("conv2").kernel)
        relu = keras.Model(model.inputs, model.get_layer("relu1").output)
        seen = np.asarray(relu(make_images()))
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

    @pytest.mark.one_keras
    def test_both_ends_of_an_asymmetric_range_move_with_the_step(self):
        """A zero point that stays clips no more above than below."""
        model = make_net()
        seen = np.asarray(
            keras.Model(model.inputs, model.get_layer("conv1").output)(
                make_images()
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
        state = quantizers_of(
            make_quantized(model=signed, placement=placement)
        )["next/input"].state
        step = float(compat.to_numpy(state.step_size))
        largest = (seen.max() - seen.min()) / 15
        self.assertNotAlmostEqual(step, largest, places=3)
        self.assertAllClose(
            state.origin, seen.min() * step / largest, rtol=1e-3
        )

    def test_compilation_and_regularizers_are_kept(self):
        model = make_net(kernel_regularizer="l2")
        model = kure_tf.regularize_kurtosis(compiled(model), verbose=False)
        quantized = make_quantized(model=model)
        self.assertAllClose(
            tf.add_n(quantized.losses), tf.add_n(model.losses), rtol=1e-6
        )
        quantized.train_on_batch(make_images(), np.arange(16) % 10)

    def test_weights_alone_need_no_images(self):
        quantized = kure_tf.quantize_aware(
            make_net(), "lsq", 3, None, engine="native", verbose=False
        )
        self.assertEqual(operating_point_of(quantized), (3, None))

    @pytest.mark.one_keras
    def test_per_channel_steps_follow_the_placement(self):
        quantized = make_quantized(placement="tflite")
        tensors = quantizers_of(quantized)
        self.assertEqual(
            tuple(tensors["conv2/kernel"].state.step_size.shape), (1, 1, 1, 6)
        )
        self.assertEqual(tensors["conv1/kernel"].pinned_bits, 8)
        self.assertIsInstance(tensors["conv1/kernel"].quantizer, LSQQuantizer)
        compiled(quantized).train_on_batch(make_images(), np.arange(16) % 10)

    @pytest.mark.one_keras
    def test_a_method_of_ones_own_is_taken(self):
        import dataclasses

        def mine(placement):
            return dataclasses.replace(
                placement, weights=UniformQuantizer(trainable=True)
            )

        quantized = kure_tf.quantize_aware(
            make_net(), mine, 4, None, engine="native", verbose=False
        )
        self.assertIn(
            quantizers_of(quantized)["conv2/kernel"].state.step_size.name,
            [weight.name for weight in quantized.trainable_weights],
        )

    def test_what_is_quantized_and_what_is_not_is_reported(self):
        import contextlib
        import io

        with contextlib.redirect_stderr(io.StringIO()) as printed:
            kure_tf.quantize_aware(make_net(), "lsq", 4, None, engine="native")
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
        quantized = make_quantized(model=model)
        self.assertEqual(
            list(quantizers_of(quantized)),
            ["inner/conv/kernel", "inner/conv/input"],
        )
        compiled(quantized).train_on_batch(make_images(), np.arange(16) % 10)


class SweepTest(tf.test.TestCase):
    def test_all_points_go_through_one_compiled_function(self):
        quantized = make_quantized()
        trained = {
            path: np.array(tensor.state.step_size)
            for path, tensor in quantizers_of(quantized).items()
        }
        evaluate = Evaluator([(make_images(), np.arange(16) % 10)])
        points = ["FP/FP", "8/8", "4/FP", "4/4 x1.1", "3/4 pow2", "2/2"]
        traced = []
        with tapping(quantized, lambda path, *_: traced.append(path)):
            report = kure_tf.run_sweep(
                quantized, points, evaluate=evaluate, progress=False
            )
        self.assertLen(report.runs[0].rows, len(points))
        # Each quantizer's Python code ran once, while the graph was traced.
        self.assertCountEqual(traced, trained)
        for path, tensor in quantizers_of(quantized).items():
            self.assertAllEqual(tensor.state.step_size, trained[path])


class BadInputTest(tf.test.TestCase):
    def test_recurrent_layers_are_trained_too(self):
        """By kure_tf's own engine: tfmot's wrapper cannot reach their cells."""
        layers = keras.layers
        model = keras.Sequential(
            [keras.Input((4, 3)), layers.GRU(2, name="gru")]
        )
        placement = Placement(activations=None)
        copy = kure_tf.quantize_aware(
            model, "lsq", 3, None, placement=placement, verbose=False
        )
        copy.compile("sgd", "mse")
        before = {
            path: compat.to_numpy(tensor.state.step_size)
            for path, tensor in quantizers_of(copy).items()
        }
        copy.fit(np.ones((2, 4, 3)), np.ones((2, 2)), verbose=0)
        self.assertEqual(list(before), ["gru/kernel", "gru/recurrent_kernel"])
        for path, tensor in quantizers_of(copy).items():
            self.assertNotEqual(
                compat.to_numpy(tensor.state.step_size), before[path]
            )

    @pytest.mark.one_keras
    def test_unknown_method_and_engine_list_the_choices(self):
        with self.assertRaisesRegex(ValueError, "dorefa.*lsq.*'pact'"):
            make_quantized("pact")
        with self.assertRaisesRegex(ValueError, "native.*tfmot.*'other'"):
            kure_tf.quantize_aware(make_net(), "lsq", 4, None, engine="other")

    @pytest.mark.one_keras
    def test_activations_without_images_are_refused_with_the_way_out(self):
        with self.assertRaisesRegex(ValueError, "calibration.*activation_bits"):
            kure_tf.quantize_aware(make_net(), engine="native")

    @pytest.mark.one_keras
    def test_bits_that_the_grid_lacks_are_refused(self):
        with self.assertRaisesRegex(ValueError, "2 bits.*narrow.*1"):
            make_quantized(weight_bits=1)

    def test_a_subclassed_model_is_refused(self):
        class Mine(keras.Model):
            def call(self, x):
                return x

        with self.assertRaisesRegex(TypeError, "subclassed model 'Mine'"):
            make_quantized(model=Mine())

    @pytest.mark.one_keras
    def test_bits_of_a_tensor_pinned_to_float_are_refused(self):
        quantized = make_quantized()
        with self.assertRaisesRegex(ValueError, "'conv1'.*in float for good"):
            kure_tf.set_operating_point(quantized, "3/3", only=["conv1"])
        with self.assertRaisesRegex(ValueError, "'conv9'.*no such layer"):
            kure_tf.set_operating_point(quantized, "3/3", only="conv9")
        self.assertEqual(operating_point_of(quantized), (4, 4))


class MixedBitsTest(tf.test.TestCase):
    @pytest.mark.one_keras
    def test_layers_can_stand_at_bits_of_their_own(self):
        quantized = make_quantized()
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


if __name__ == "__main__":
    tf.test.main()
