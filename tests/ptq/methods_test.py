"""minmax, uniform and lp_norm against dense grids of steps; all by contract."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import OperatingPoint, fake_quantize_model, ptq, set_step_sizes
from kure_tf.compat import keras
from kure_tf.fake_quantized import Placement, set_operating_point
from kure_tf.quantizers import UniformQuantizer

pytestmark = pytest.mark.one_keras

layers = keras.layers

LEVELS = {
    "narrow": lambda b: (-(2 ** (b - 1)) + 1, 2 ** (b - 1) - 1, 0.0),
    "full": lambda b: (-(2 ** (b - 1)), 2 ** (b - 1) - 1, 0.0),
    "reference": lambda b: (-(2 ** (b - 1)), 2 ** (b - 1) - 1, 0.5),
    "equation1": lambda b: (-(2 ** (b - 1)), 2 ** (b - 1), 0.0),
}


def _calibration(
    grid="narrow",
    granularity="per_tensor",
    activations=None,
    images=None,
    batch_norm=False,
):
    """One dense layer with the kernel of a Laplace distribution."""
    if images is None:
        return _on_zeros(grid, granularity, activations, batch_norm)
    return _made(grid, granularity, activations, images, batch_norm)


@functools.cache  # No test changes such a one.
def _on_zeros(grid, granularity, activations, batch_norm):
    images = np.zeros((2, 60), np.float32)
    return _made(grid, granularity, activations, images, batch_norm)


def _made(grid, granularity, activations, images, batch_norm):
    model = keras.Sequential(
        [keras.Input((60,)), layers.Dense(5, use_bias=False, name="d")]
    )
    kernel = np.random.default_rng(0).laplace(0, 0.2, (60, 5))
    kernel *= [1.0, 3.0, 0.1, 1.0, 1.0]  # Channels differ in width.
    kernel = kernel.astype(np.float32)
    model.set_weights([kernel])
    if batch_norm:  # Which `learned_steps` needs.
        model.add(layers.BatchNormalization())
    copy = fake_quantize_model(
        model,
        Placement(
            weights=UniformQuantizer(grid, granularity),
            activations=activations and UniformQuantizer(activations),
        ),
    )
    batches = [(images, np.zeros(len(images), int))]
    return copy, kernel, ptq.calibrate(copy, batches, progress=False)


def _error(x, step, low, high, offset=0.0, p=2.0):
    x = np.asarray(x, np.float64)
    codes = np.clip(np.round(x / step - offset), low, high) + offset
    return np.mean(np.abs(x - codes * step) ** p)


def _least_error(x, levels, p=2.0):
    """The least error over 6,000 step sizes, 0.1 % apart."""
    largest = np.abs(x).max() / max(abs(levels[0]), abs(levels[1]))
    steps = 4.0 * largest * 0.999 ** np.arange(6000)
    return min(_error(x, step, *levels, p=p) for step in steps)


class MinmaxTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        grid=("narrow", "full", "reference", "equation1"), bits=(8, 4, 2)
    )
    def test_no_weight_is_clipped_and_the_step_is_the_smallest_such(
        self, grid, bits
    ):
        _, kernel, calibration = _calibration(grid)
        steps = ptq.minmax(calibration, OperatingPoint(bits, None)).tensors
        low, high, offset = LEVELS[grid](bits)
        largest = np.abs(kernel).max()
        # Half a step beyond the last level of a mid-rise grid still rounds.
        self.assertAllClose(
            steps["d/kernel"].step_size,
            largest / (high + offset),
            rtol=1e-6,
        )
        self.assertEqual(steps["d/kernel"].bits, bits)

    def test_per_channel_each_channel_has_its_own(self):
        _, kernel, calibration = _calibration("narrow", "per_channel")
        steps = ptq.minmax(calibration, OperatingPoint(4, None)).tensors
        self.assertAllClose(
            steps["d/kernel"].step_size,
            np.abs(kernel).max(0, keepdims=True) / 7,
        )

    @parameterized.named_parameters(
        ("unsigned", "signed_or_unsigned", (0.0, 3.0), 3.0 / 15, 0.0),
        ("signed", "signed_or_unsigned", (-1.0, 3.0), 3.0 / 7, -1.0),
        ("asymmetric", "asymmetric", (-1.0, 3.0), 4.0 / 15, -1.0),
        ("all_positive", "asymmetric", (1.0, 3.0), 3.0 / 15, 0.0),
        ("all_negative", "asymmetric", (-3.0, -1.0), 3.0 / 15, -3.0),
    )
    def test_activations(self, grid, ends, step, origin):
        images = np.full((2, 60), sum(ends) / 2, np.float32)
        images[0, :2] = ends
        _, _, calibration = _calibration(activations=grid, images=images)
        found = ptq.minmax(calibration, OperatingPoint(4, 4)).tensors["d/input"]
        self.assertAllClose(found.step_size, step)
        self.assertAllClose(found.origin, origin)

    def test_activations_are_never_negative_after_relu_even_if_all_zero(self):
        images = np.zeros((2, 60), np.float32)
        copy, _, calibration = _calibration(
            activations="signed_or_unsigned", images=images
        )
        set_step_sizes(copy, ptq.minmax(calibration, OperatingPoint(4, 4)))
        set_operating_point(copy, "4/4")
        self.assertAllEqual(copy(images), np.zeros((2, 5)))


class UniformTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        grid=("narrow", "reference", "equation1"), bits=(2, 3, 4, 8)
    )
    def test_it_is_the_best_step_of_uniform_weights(self, grid, bits):
        """Against a dense search over 100,001 evenly spaced values."""
        values = np.linspace(-0.7, 0.7, 100_001, dtype=np.float32)
        _, _, calibration = _calibration(grid)
        found = self._found(calibration, values[np.newaxis], bits)
        low, high, offset = LEVELS[grid](bits)
        self.assertAllClose(found, [1.4 / (high - low + 1)], rtol=1e-6)
        error = _error(values, found[0], low, high, offset)
        for ratio in np.linspace(0.5, 2.0, 61):
            other = _error(values, ratio * found[0], low, high, offset)
            self.assertLessEqual(error, 1.0001 * other)

    def test_each_channel_has_its_own_and_zeros_have_one(self):
        _, kernel, calibration = _calibration("narrow", "per_channel")
        rows = kernel.T.copy()
        rows[2] = 0.0
        found = self._found(calibration, rows, 3)
        largest = np.abs(rows).max(1)
        self.assertAllClose(np.delete(found, 2), np.delete(largest, 2) * 2 / 7)
        self.assertGreater(found[2], 0.0)

    def test_activations_are_those_of_minmax(self):
        images = np.random.default_rng(1).normal(size=(4, 60))
        _, _, calibration = _calibration(
            activations="signed_or_unsigned", images=images.astype(np.float32)
        )
        point = OperatingPoint(4, 4)
        self.assertAllClose(
            ptq.uniform(calibration, point).tensors["d/input"].step_size,
            ptq.minmax(calibration, point).tensors["d/input"].step_size,
        )

    def _found(self, calibration, rows, bits):
        tensor = dataclasses.replace(
            calibration.tensors["d/kernel"],
            values=rows,
            step_shape=(len(rows),),
        )
        calibration = ptq.Calibration({"d/kernel": tensor}, {})
        steps = ptq.uniform(calibration, OperatingPoint(bits, None))
        return steps.tensors["d/kernel"].step_size


class LpNormTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        grid=("narrow", "full", "reference", "equation1"), bits=(8, 4, 3, 2)
    )
    def test_error_is_the_least_of_a_dense_search(self, grid, bits):
        _, kernel, calibration = _calibration(grid)
        steps = ptq.lp_norm(calibration, OperatingPoint(bits, None)).tensors
        levels = LEVELS[grid](bits)
        found = _error(kernel, float(steps["d/kernel"].step_size), *levels)
        self.assertLessEqual(found, 1.001 * _least_error(kernel, levels))

    @parameterized.parameters(1.0, 2.4, 4.0)
    def test_other_norms_too(self, p):
        _, kernel, calibration = _calibration()
        point = OperatingPoint(3, None)
        steps = ptq.lp_norm(calibration, point, p=p).tensors
        found = _error(kernel, float(steps["d/kernel"].step_size), -3, 3, p=p)
        least = _least_error(kernel, (-3, 3, 0.0), p)
        self.assertLessEqual(found, 1.001 * least)

    def test_each_channel_is_searched_on_its_own(self):
        _, kernel, calibration = _calibration("narrow", "per_channel")
        steps = ptq.lp_norm(calibration, OperatingPoint(3, None)).tensors
        step_size = steps["d/kernel"].step_size
        self.assertEqual(step_size.shape, (1, 5))
        for channel in range(5):
            x = kernel[:, channel]
            found = _error(x, float(step_size[0, channel]), -3, 3)
            self.assertLessEqual(found, 1.001 * _least_error(x, (-3, 3, 0.0)))

    @parameterized.named_parameters(
        ("unsigned", "signed_or_unsigned", 0.0),
        ("signed", "signed_or_unsigned", -1.0),
        ("asymmetric", "asymmetric", -0.4),
    )
    def test_activations(self, grid, least):
        rng = np.random.default_rng(3)
        images = rng.exponential(1.0, (40, 60)).astype(np.float32)
        images = np.maximum(images + least, least)
        copy, _, calibration = _calibration(activations=grid, images=images)
        found = ptq.lp_norm(calibration, OperatingPoint(4, 4)).tensors[
            "d/input"
        ]
        if grid == "asymmetric":
            # Both ends in proportion: the integer zero point stays.
            zero = round(-images.min() / ((images.max() - images.min()) / 15))
            levels = (-zero, 15 - zero, 0.0)
            self.assertAllClose(
                round(-found.origin / float(found.step_size)), zero
            )
        else:
            levels = (-7, 7, 0.0) if least < 0 else (0, 15, 0.0)
        error = _error(images, float(found.step_size), *levels)
        self.assertLessEqual(error, 1.001 * _least_error(images, levels))

        # And that is what the model then computes with.
        set_step_sizes(copy, ptq.lp_norm(calibration, OperatingPoint(None, 4)))
        set_operating_point(copy, "FP/4")
        codes = np.round(images / found.step_size)
        by_hand = np.clip(codes, *levels[:2]) * found.step_size
        set_operating_point(copy, "FP/4")
        outputs = copy(images)
        set_operating_point(copy, "FP/FP")
        self.assertAllClose(outputs, copy(by_hand), atol=1e-3)

    def test_the_max_norm_has_the_smallest_largest_error(self):
        _, kernel, calibration = _calibration()
        point = OperatingPoint(3, None)
        steps = ptq.lp_norm(calibration, point, p=np.inf)

        def largest_error(step):
            codes = np.clip(np.round(kernel / step), -3, 3)
            return np.abs(kernel - codes * step).max()

        largest = np.abs(kernel).max() / 3
        least = min(map(largest_error, largest * np.geomspace(0.1, 4, 3000)))
        found = float(steps.tensors["d/kernel"].step_size)
        self.assertLessEqual(largest_error(found), 1.001 * least)
        self.assertEqual(steps.provenance["p"], "inf")

    @parameterized.parameters(0, -1.0, float("nan"))
    def test_a_norm_that_is_not_positive_is_refused(self, p):
        with self.assertRaisesRegex(ValueError, "positive norm"):
            ptq.lp_norm(_calibration()[2], OperatingPoint(4, None), p=p)


class StepSizesOfAPointTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(*ptq.METHODS)
    def test_tensors_in_float_are_left_out(self, method):
        images = np.ones((2, 60), np.float32)
        _, _, calibration = _calibration(
            activations="asymmetric", images=images, batch_norm=True
        )
        for point, names in (
            ("FP/FP", []),
            ("4/FP", ["d/kernel"]),
            ("FP/4", ["d/input"]),
            ("4/4", ["d/input", "d/kernel"]),
        ):
            steps = ptq.get(method)(calibration, OperatingPoint.parse(point))
            self.assertEqual(sorted(steps.tensors), names)
            self.assertEqual(steps.provenance["images"], 2)
            self.assertEqual(steps.provenance["method"], method)

    @parameterized.parameters(*ptq.METHODS)
    def test_pinned_tensors_are_searched_at_their_own_bits(self, method):
        model = keras.Sequential(
            [
                keras.Input((60,)),
                layers.Dense(5, name="d"),
                layers.BatchNormalization(),
            ]
        )
        copy = fake_quantize_model(model, Placement(first_layer=8))
        batches = [(np.ones((2, 60), np.float32), [0, 1])]
        calibration = ptq.calibrate(copy, batches, progress=False)
        steps = ptq.get(method)(calibration, OperatingPoint(2, None))
        self.assertEqual(steps.tensors["d/kernel"].bits, 8)

    @parameterized.parameters(*ptq.METHODS)
    def test_bits_that_the_grid_lacks_are_refused(self, method):
        with self.assertRaisesRegex(ValueError, "at least 2 bits"):
            ptq.get(method)(
                _calibration(batch_norm=True)[2], OperatingPoint(1, None)
            )
        steps = ptq.get(method)(
            _calibration("reference", batch_norm=True)[2],
            OperatingPoint(1, None),
        )
        self.assertEqual(steps.tensors["d/kernel"].bits, 1)

    def test_methods_are_found_by_name(self):
        self.assertIs(ptq.get("minmax"), ptq.minmax)
        self.assertIs(ptq.get(len), len)
        with self.assertRaisesRegex(ValueError, "lp_norm.*'adaround'"):
            ptq.get("adaround")


if __name__ == "__main__":
    tf.test.main()
