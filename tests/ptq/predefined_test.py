"""Steps out of a list, against trying each of them."""

import functools

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import OperatingPoint, fake_quantize_model, ptq
from kure_tf.compat import keras
from kure_tf.fake_quantized import Placement
from kure_tf.quantizers import UniformQuantizer

ALLOWED = (0.3, 0.01, 0.02, 0.05, 0.1)
POINT = OperatingPoint(4)


def _calibration(granularity="per_channel"):
    model = keras.Sequential(
        [keras.Input((40,)), keras.layers.Dense(6, name="a")]
    )
    random = np.random.default_rng(0)
    kernel = random.laplace(0, np.geomspace(0.01, 1.0, 6), (40, 6))
    model.set_weights([kernel, np.zeros(6)])
    placement = Placement(weights=UniformQuantizer("narrow", granularity))
    return ptq.calibrate(fake_quantize_model(model, placement), progress=False)


def _steps(calibration, **options):
    found = ptq.predefined(calibration, POINT, allowed=ALLOWED, **options)
    return found.tensors["a/kernel"].step_size.reshape(-1)


def _given(step_sizes, calibration, point):
    return calibration.step_sizes(
        point, lambda tensor, bits: np.array(step_sizes)
    )


class PredefinedTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters("per_tensor", "per_channel")
    def test_the_search_is_no_worse_than_any_allowed_step(self, granularity):
        calibration = _calibration(granularity)

        steps = _steps(calibration)

        rows = calibration.tensors["a/kernel"].values.astype(np.float64)
        for row, found in zip(rows, steps, strict=True):
            errors = {
                step: np.mean(
                    (row - np.clip(np.round(row / step), -7, 7) * step) ** 2
                )
                for step in ALLOWED
            }
            best = min(errors, key=errors.get)
            self.assertAllClose(found, best, rtol=1e-6)

    @parameterized.parameters(
        ("nearest", [0.01, 0.02, 0.02, 0.05, 0.3, 0.3]),
        ("up", [0.01, 0.02, 0.05, 0.05, 0.3, 0.3]),
    )
    def test_a_methods_steps_are_moved_into_the_list(self, choice, expected):
        method = functools.partial(
            _given, [0.001, 0.0145, 0.03, 0.05, 0.19, 7.0]
        )

        steps = _steps(_calibration(), choice=choice, method=method)

        self.assertAllClose(steps, expected)

    @parameterized.parameters(
        ((), "positive, finite step sizes"),
        ((0.1, -1.0), "-1.0"),
        ((float("nan"),), "nan"),
    )
    def test_bad_lists_are_refused(self, allowed, message):
        with self.assertRaisesRegex(ValueError, message):
            ptq.predefined(_calibration(), POINT, allowed=allowed)

    def test_an_unknown_choice_is_refused(self):
        with self.assertRaisesRegex(ValueError, "nearest.*'down'"):
            _steps(_calibration(), choice="down")


if __name__ == "__main__":
    tf.test.main()
