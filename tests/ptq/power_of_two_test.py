"""Power-of-two steps against all powers of two, and against the model's."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import (
    OperatingPoint,
    fake_quantize_model,
    ptq,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.compat import keras
from kure_tf.fake_quantized import Placement, integer_weights
from kure_tf.quantizers import DoReFaWeightQuantizer, UniformQuantizer

pytestmark = pytest.mark.one_keras


def _model(granularity="per_tensor"):
    model = keras.Sequential(
        [
            keras.Input((40,)),
            keras.layers.Dense(6, use_bias=False, name="a"),
            keras.layers.Dense(3, use_bias=False, name="b"),
        ]
    )
    rng = np.random.default_rng(0)
    widths = np.geomspace(0.05, 1.0, 6)
    model.set_weights(
        [rng.laplace(0, widths, (40, 6)), rng.uniform(-0.9, 0.9, (6, 3))]
    )
    return fake_quantize_model(
        model,
        Placement(
            weights=UniformQuantizer("narrow", granularity),
            activations=UniformQuantizer("asymmetric"),
        ),
    )


def _images():
    images = np.random.default_rng(1).exponential(0.7, (50, 40))
    return images.astype(np.float32) - 0.2


def _calibration(model):
    return ptq.calibrate(model, [_images()], progress=False)


def _mean_squared_error(tensor, row, step, bits):
    largest = 2 ** (bits - 1) - 1
    x = tensor.values[row].astype(np.float64)
    return np.mean(
        (x - np.clip(np.round(x / step), -largest, largest) * step) ** 2
    )


class PowerOfTwoTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters("pow2_nearest", "pow2_up", "pow2_search")
    def test_steps_of_dorefa_are_powers_of_two_of_the_weights(self, name):
        """Its steps are relative to the largest |tanh(w)|."""
        model = fake_quantize_model(
            keras.Sequential(
                [
                    keras.Input((5,)),
                    keras.layers.Dense(4, name="a"),
                    keras.layers.Dense(4, name="b"),
                ]
            ),
            Placement(weights=DoReFaWeightQuantizer("narrow")),
        )
        calibration = ptq.calibrate(model, None, progress=False)
        point = OperatingPoint(4, None)
        set_step_sizes(model, ptq.get(name)(calibration, point))
        set_operating_point(model, point)
        for own in integer_weights(model).values():
            exponent = np.log2(np.float64(own.step_size))
            self.assertAllClose(exponent, np.round(exponent), atol=1e-5)

    @parameterized.parameters("pow2_nearest", "pow2_up", "pow2_search")
    def test_every_step_is_a_power_of_two_near_the_given_one(self, name):
        calibration = _calibration(_model("per_channel"))
        point = OperatingPoint(3, 4)
        given = ptq.lp_norm(calibration, point).tensors
        steps = ptq.get(name)(calibration, point).tensors
        self.assertEqual(list(steps), list(given))
        for path, step in steps.items():
            self.assertEqual(step.step_size.shape, given[path].step_size.shape)
            self.assertAllEqual(
                np.frexp(step.step_size)[0] == 0.5,
                np.ones_like(step.step_size, bool),
            )
            ratio = step.step_size / given[path].step_size
            low, high = {
                "pow2_up": (1 - 1e-6, 2),
                "pow2_nearest": (0.7, 1.42),
                "pow2_search": (0.35, 2.83),
            }[name]
            self.assertAllInRange(ratio, low, high)

    @parameterized.parameters("per_tensor", "per_channel")
    def test_the_search_finds_the_best_of_all_powers_of_two(self, granularity):
        calibration = _calibration(_model(granularity))
        steps = ptq.pow2_search(calibration, OperatingPoint(3, None)).tensors
        for path, step in steps.items():
            tensor = calibration.tensors[path]
            for row, found in enumerate(step.step_size.reshape(-1)):
                errors = {
                    k: _mean_squared_error(tensor, row, 2.0**k, 3)
                    for k in range(-12, 4)
                }
                self.assertEqual(np.log2(found), min(errors, key=errors.get))

    @parameterized.parameters(("pow2_nearest", "nearest"), ("pow2_up", "up"))
    def test_the_operating_point_rounds_alike(self, name, rounding):
        model = _model("per_channel")
        calibration = _calibration(model)
        point = OperatingPoint(4, 4)
        set_step_sizes(model, ptq.get(name)(calibration, point))
        set_operating_point(model, point)
        ours = model(_images())
        set_step_sizes(model, ptq.lp_norm(calibration, point))
        set_operating_point(
            model, OperatingPoint(4, None, step_rounding=rounding)
        )
        set_step_sizes(
            model, ptq.get(name)(calibration, OperatingPoint(None, 4))
        )
        set_operating_point(model, OperatingPoint(4, 4, step_rounding=rounding))
        self.assertAllClose(model(_images()), ours, atol=1e-5)

    def test_the_origin_moves_so_that_the_zero_point_stays(self):
        calibration = _calibration(_model())
        point = OperatingPoint(4, 4)
        given = ptq.lp_norm(calibration, point).tensors["a/input"]
        rounded = ptq.pow2_up(calibration, point).tensors["a/input"]
        self.assertAllClose(
            rounded.origin / rounded.step_size, given.origin / given.step_size
        )

    def test_any_method_may_give_the_steps(self):
        calibration = _calibration(_model())
        point = OperatingPoint(4, None)
        steps = ptq.pow2_up(calibration, point, method=ptq.minmax)
        largest = ptq.minmax(calibration, point).tensors
        for path, step in steps.tensors.items():
            self.assertGreaterEqual(step.step_size, largest[path].step_size)
            self.assertLess(step.step_size, 2 * largest[path].step_size)
        self.assertEqual(steps.provenance["method"], "pow2_up")
        self.assertEqual(steps.provenance["of"], "minmax")
        method = functools.partial(ptq.lp_norm, p=3.0)
        steps = ptq.pow2_search(calibration, point, method=method)
        self.assertEqual(steps.provenance["of"], "lp_norm")
        self.assertEqual(steps.provenance["p"], 3.0)


if __name__ == "__main__":
    tf.test.main()
