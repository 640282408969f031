"""ACIQ against the quantizer's error on samples."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import OperatingPoint, fake_quantize_model, ptq
from kure_tf.compat import keras
from kure_tf.fake_quantized import Placement
from kure_tf.quantizers import UniformQuantizer

pytestmark = pytest.mark.one_keras

SAMPLERS = {
    "normal": lambda rng, size: rng.normal(0, 0.3, size),
    "laplace": lambda rng, size: rng.laplace(0, 0.3, size),
}


def _calibration(kernel, grid="narrow", granularity="per_tensor"):
    model = keras.Sequential(
        [
            keras.Input((kernel.shape[0],)),
            keras.layers.Dense(kernel.shape[1], use_bias=False, name="d"),
        ]
    )
    model.set_weights([kernel])
    placement = Placement(weights=UniformQuantizer(grid, granularity))
    copy = fake_quantize_model(model, placement)
    return ptq.calibrate(copy, progress=False)


def _activations(images, grid="signed_or_unsigned"):
    model = keras.Sequential(
        [keras.Input((images.shape[1],)), keras.layers.Dense(2, name="d")]
    )
    placement = Placement(activations=UniformQuantizer(grid))
    copy = fake_quantize_model(model, placement)
    images = images.astype(np.float32)
    return ptq.calibrate(copy, [images], progress=False)


def _step(calibration, point, path, **options):
    point = OperatingPoint.parse(point)
    return ptq.aciq(calibration, point, **options).tensors[path].step_size


def _error(x, step, low, high):
    x = np.asarray(x, np.float64)
    return np.mean((x - np.clip(np.round(x / step), low, high) * step) ** 2)


def _least_error(x, low, high):
    """The least error over 900 step sizes, 0.5 % apart."""
    largest = np.abs(x).max() / max(-low, high)
    return min(_error(x, largest * 0.995**k, low, high) for k in range(900))


class AciqTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(name=("normal", "laplace"), bits=(2, 3, 4, 6, 8))
    def test_error_on_samples_is_close_to_the_least_possible(self, name, bits):
        sample = SAMPLERS[name](np.random.default_rng(0), (100_000, 1))
        sample = sample.astype(np.float32)
        step = float(_step(_calibration(sample), f"{bits}/FP", "d/kernel"))
        high = 2 ** (bits - 1) - 1
        self.assertLessEqual(
            _error(sample, step, -high, high),
            1.01 * _least_error(sample, -high, high),
        )

    @parameterized.product(
        name=("normal", "laplace"), grid=("signed_or_unsigned", "asymmetric")
    )
    def test_relu_outputs_too(self, name, grid):
        sample = SAMPLERS[name](np.random.default_rng(0), (5000, 20))
        sample = np.maximum(sample, 0.0)
        for bits in (2, 4):
            calibration = _activations(sample, grid)
            step = float(_step(calibration, f"FP/{bits}", "d/input"))
            high = 2**bits - 1
            self.assertLessEqual(
                _error(sample, step, 0, high),
                1.01 * _least_error(sample, 0, high),
            )

    def test_negative_values_alone_are_the_mirror_image(self):
        sample = np.random.default_rng(0).exponential(1.0, (1000, 20))
        up = _step(_activations(sample, "asymmetric"), "FP/4", "d/input")
        down = _step(_activations(-sample, "asymmetric"), "FP/4", "d/input")
        self.assertAllClose(up, down, rtol=1e-5)

    def test_optimal_clips_are_those_of_integration(self):
        """Largest levels of the best grid of Eq. 1, in standard deviations."""
        sample = np.random.default_rng(0).normal(size=(1_000_000, 1))
        sample = (sample - sample.mean()) / sample.std()
        calibration = _calibration(sample.astype(np.float32), "equation1")
        for bits, clip in ((2, 1.6860), (3, 2.1353), (4, 2.5512), (8, 3.9239)):
            step = _step(calibration, f"{bits}/FP", "d/kernel")
            self.assertAllClose(step * 2 ** (bits - 1), clip, rtol=1e-3)

    @parameterized.parameters("normal", "laplace")
    def test_auto_takes_the_distribution_that_the_values_have(self, name):
        sample = SAMPLERS[name](np.random.default_rng(0), (20_000, 1))
        relu = np.maximum(sample, 0.0)
        other = {"normal": "laplace", "laplace": "normal"}[name]
        for calibration, point, path in (
            (_calibration(sample), "3/FP", "d/kernel"),
            (_activations(relu), "FP/3", "d/input"),
        ):
            step = functools.partial(_step, calibration, point, path)
            self.assertAllEqual(step(), step(distribution=name))
            self.assertNotAllClose(step(), step(distribution=other), rtol=0.02)

    def test_each_channel_has_its_own_distribution(self):
        rng = np.random.default_rng(0)
        kernel = np.stack(
            [rng.normal(0, 0.1, 50_000), rng.laplace(0.2, 1.0, 50_000)], -1
        )
        steps = _step(
            _calibration(kernel, granularity="per_channel"), "4/FP", "d/kernel"
        )
        self.assertEqual(steps.shape, (1, 2))
        for channel in range(2):
            x = kernel[:, channel]
            self.assertLessEqual(
                _error(x, float(steps[0, channel]), -7, 7),
                1.01 * _least_error(x, -7, 7),
            )

    def test_no_step_is_larger_than_the_one_that_clips_nothing(self):
        """A uniform tensor has no tails, whatever is fitted to it."""
        kernel = np.random.default_rng(0).uniform(-1, 1, (500, 2))
        calibration = _calibration(kernel)
        point = OperatingPoint(4, None)
        largest = ptq.minmax(calibration, point).tensors["d/kernel"].step_size
        for distribution in ("normal", "laplace"):
            step = _step(
                calibration, "4/FP", "d/kernel", distribution=distribution
            )
            self.assertAllClose(step, largest)

    @parameterized.parameters(0.0, 0.25, -0.5)
    def test_equal_values_are_represented(self, value):
        kernel = np.full((8, 2), value, np.float32)
        step = float(_step(_calibration(kernel), "4/FP", "d/kernel"))
        self.assertAllClose(np.round(value / step) * step, value)
        images = np.zeros((3, 4))
        self.assertGreater(_step(_activations(images), "FP/4", "d/input"), 0)

    def test_an_unknown_distribution_is_refused(self):
        with self.assertRaisesRegex(ValueError, "'laplace'.*'cauchy'"):
            ptq.aciq(None, None, distribution="cauchy")


if __name__ == "__main__":
    tf.test.main()
