"""The error in closed form against integration and the quantizer itself.

That of a sample is held against brute force in step_search_test.py.
"""

import dataclasses

import integrated_quantizer as truth
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from kure_tf.ops import fake_quantize
from kure_tf.ops.distributions import DISTRIBUTIONS, Laplace, Normal, Uniform
from kure_tf.ops.quantization_error import (
    curvature,
    mean_squared_error,
    slope,
)

BESIDE_ZERO = (
    (
        "uniform",
        Uniform(0.7, location=0.3),
        stats.uniform(0.3 - 0.7 * np.sqrt(3), 1.4 * np.sqrt(3)),
    ),
    ("normal", Normal(0.7, location=0.2), stats.norm(0.2, 0.7)),
    (
        "laplace",
        Laplace(0.4 * np.sqrt(2), location=-0.3),
        stats.laplace(-0.3, 0.4),
    ),
)


def _problem(name, grid, bits):
    low, high, offset = truth.levels_of(grid, bits)
    of = DISTRIBUTIONS[name](absolute=grid == "unsigned")
    return of, (low, high), offset


class DistributionTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(*truth.QUANTIZERS)
    def test_error_and_slope_are_those_of_integration(self, name, grid, bits):
        of, *levels = _problem(name, grid, bits)
        # From steps that clip nearly everything to ones that leave one level.
        steps = np.array([0.1, 0.9, 2.1, 8.0]) / 2.0 ** (bits - 1)

        self.assertAllClose(
            mean_squared_error(of, steps, *levels),
            [truth.error(name, step, bits, grid) for step in steps],
            rtol=2e-5,
            atol=1e-9,
        )
        self.assertAllClose(
            slope(of, steps, *levels),
            [truth.slope(name, step, bits, grid) for step in steps],
            rtol=2e-5,
            # Cells at the edges of bins err by a level each.
            atol=1e-4 * 2.0**bits,
        )

    @parameterized.named_parameters(*truth.QUANTIZERS)
    def test_curvature_is_the_derivative_of_the_slope(self, name, grid, bits):
        of, *levels = _problem(name, grid, bits)
        # Off the steps at which an edge leaves the uniform distribution.
        steps = np.array([0.313, 0.911, 2.117, 4.413]) / 2.0 ** (bits - 1)
        h = 1e-6 * steps

        change = slope(of, steps + h, *levels) - slope(of, steps - h, *levels)

        self.assertAllClose(
            curvature(of, steps, *levels),
            change / (2 * h),
            rtol=1e-5,
            atol=1e-5 * 2.0**bits,
        )

    @parameterized.named_parameters(*BESIDE_ZERO)
    def test_a_distribution_may_lie_beside_zero(self, of, density):
        x = np.linspace(density.ppf(1e-12), density.isf(1e-12), 400_001)
        for low, high, offset in ((-3, 3, 0.0), (-4, 3, 0.5), (0, 7, 0.0)):
            for step in (0.05, 0.21, 0.8):
                codes = np.clip(np.round(x / step - offset), low, high)
                lost = (x - (codes + offset) * step) ** 2
                self.assertAllClose(
                    mean_squared_error(of, step, (low, high), offset),
                    integrate.trapezoid(lost * density.pdf(x), x),
                    rtol=1e-5,
                )

    @parameterized.product(
        name=truth.NAMES,
        case=(("narrow", 4), ("unsigned", 3), ("reference", 2), ("full", 5)),
    )
    def test_fake_quantize_measures_that_error(self, name, case):
        of, levels, offset = _problem(name, *case)
        count = 200_000  # One value per 1/200,000 of probability.
        random = np.random.default_rng(0).uniform(size=count)
        x = truth.TRUTH[name].ppf((np.arange(count) + random) / count)
        x = np.abs(x) if of.absolute else x

        for step in np.array([0.8, 1.0, 1.3]) * 2.5 / levels[1]:
            y = fake_quantize(x, step, levels, offset * step)
            self.assertAllClose(
                np.mean((x - y.numpy()) ** 2),
                mean_squared_error(of, step, levels, offset),
                rtol=0.01,
                atol=0,
            )

    @given(
        name=st.sampled_from(truth.NAMES),
        grid=st.sampled_from(truth.FIXED_GRIDS),
        bits=st.integers(2, 8),
        step=st.floats(1e-3, 10.0),
        scale=st.floats(1e-4, 1e4),
    )
    def test_scaling_the_distribution_scales_the_error(
        self, name, grid, bits, step, scale
    ):
        """MSE(c X, c step) = c^2 MSE(X, step)."""
        of, *levels = _problem(name, grid, bits)
        scaled = dataclasses.replace(of, standard_deviation=scale)

        self.assertAllClose(
            mean_squared_error(scaled, scale * step, *levels) / scale**2,
            mean_squared_error(of, step, *levels),
            rtol=1e-9,
            atol=1e-12,
        )

    @parameterized.parameters(*truth.NAMES)
    def test_a_large_step_leaves_the_variance_and_no_curvature(self, name):
        """Fig. 1 (a) of the paper: true of the quantizer, not of Eq. 9."""
        of = DISTRIBUTIONS[name](2.0)

        self.assertAllClose(
            mean_squared_error(of, 400.0, (-8, 8)), 4.0, rtol=1e-12
        )
        self.assertAllClose(curvature(of, 400.0, (-8, 8)), 0.0)

    def test_results_have_the_shape_of_the_steps(self):
        for function in (mean_squared_error, slope, curvature):
            of, levels = Normal(), (-4, 4)
            steps = np.full((2, 3), 0.5)
            self.assertEqual(function(of, steps, levels).shape, (2, 3))
            self.assertEqual(function(of, 0.5, levels).shape, ())


if __name__ == "__main__":
    tf.test.main()
