"""Moving a fake-quantized model to operating points and step sizes."""

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from fake_quantized_models import (
    layers,
    make_images,
    make_sequential,
    make_steps,
    randomized,
    snapshot,
)

from kure_tf import (
    OperatingPoint,
    fake_quantize_model,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.compat import keras
from kure_tf.fake_quantized import Placement, quantizers_of
from kure_tf.quantizers import UniformQuantizer
from kure_tf.settings import StepSizes, TensorStep

pytestmark = pytest.mark.one_keras

PER_CHANNEL = UniformQuantizer("narrow", "per_channel")


class OperatingPointTest(tf.test.TestCase, parameterized.TestCase):
    def _dense(self, quantizer=None, **placement):
        model = randomized(
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
        set_step_sizes(copy, make_steps(copy))
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
        set_step_sizes(copy, make_steps(copy))
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
        expected = snapshot(copy)
        set_operating_point(copy, OperatingPoint(3, None, step_scale=0.9))
        self.assertAllClose(expected, snapshot(copy))

    def test_one_bit_works_on_the_grid_without_zero(self):
        copy, tensor = self._dense(UniformQuantizer("reference"))
        set_operating_point(copy, "1/FP")
        kernel, bias = (
            np.array(tensor.variable),
            np.array(copy.layers[-1].layer.bias),
        )
        x = make_images(3, (5,))
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
        before = snapshot(copy)
        with self.assertRaisesRegex(ValueError, message):
            set_operating_point(copy, point)
        self.assertAllEqual(before, snapshot(copy))

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
        before = snapshot(copy)
        steps = StepSizes({n: TensorStep(*step) for n, step in steps.items()})
        with self.assertRaisesRegex(ValueError, message):
            set_step_sizes(copy, steps)
        self.assertAllEqual(before, snapshot(copy))

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
                change(make_sequential())

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
            self.assertAllEqual(copy(make_images(2, (3,))), np.ones((2, 2)))


if __name__ == "__main__":
    tf.test.main()
