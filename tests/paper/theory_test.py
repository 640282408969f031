"""The theory against independent integration, simulation and tables."""

import dataclasses
import doctest
import functools
import sys

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kure_tf.ops import GRIDS, fake_quantize
from kure_tf.paper import theory
from kure_tf.paper.theory import paper

ALL_BITS = tuple(range(1, 9))
SYMMETRIC = ("narrow", "reference", "equation1")
FIXED_GRIDS = (*SYMMETRIC, "full", "unsigned")
NAMES = ("uniform", "normal", "laplace")

# All at standard deviation 1; beyond 40 Laplace has less than 1e-24.
DENSITIES = {
    "uniform": (stats.uniform(-np.sqrt(3), 2 * np.sqrt(3)).pdf, np.sqrt(3)),
    "normal": (stats.norm.pdf, 12.0),
    "laplace": (stats.laplace(scale=1 / np.sqrt(2)).pdf, 40.0),
}
QUANTILES = {
    "uniform": stats.uniform(-np.sqrt(3), 2 * np.sqrt(3)).ppf,
    "normal": stats.norm.ppf,
    "laplace": stats.laplace(scale=1 / np.sqrt(2)).ppf,
}

# Of the quantizer of Eq. 1, integrated outside this project: M = 1..8.
NORMAL_TAU = (1.2240, 1.6860, 2.1353, 2.5512, 2.9330, 3.2857, 3.6147, 3.9239)
NORMAL_MSE = (
    *(0.19017, 0.082178, 0.030696, 0.010405),
    *(0.0033133, 0.0010120, 3.0014e-4, 8.7071e-5),
)
NORMAL_GAMMA = (0.338, 0.457, 0.600, 0.761, 0.937, 1.12, 1.31, 1.51)
EQUATION_9_TAU = (
    *(1.2399, 1.7106, 2.1516, 2.5591),
    *(2.9362, 3.2869, 3.6151, 3.9240),
)
EQUATION_9_MSE = (
    *(0.21501, 0.087148, 0.031429, 0.010493),
    *(0.0033226, 0.0010129, 3.0022e-4, 8.7077e-5),
)
EQUATION_9_GAMMA = (0.298, 0.432, 0.586, 0.755, 0.934, 1.12, 1.31, 1.51)
MSE_RATIO = (1.7, 2.1, 2.5, 3.0, 3.6, 4.3, 5.0, 5.8)


def distribution(name, grid="equation1"):
    return theory.DISTRIBUTIONS[name](absolute=grid == "unsigned")


def exists(grid, bits):
    return bits >= 2 or grid in ("reference", "equation1")


@functools.cache
def mass(name, absolute, count=240_000):
    """Returns midpoints of narrow cells and the probability of each."""
    pdf, end = DENSITIES[name]
    width = 2 * end / count
    x = -end + width * (np.arange(count) + 0.5)
    return (np.abs(x) if absolute else x), pdf(x) * width


def codes_of(x, step_size, bits, grid):
    """A quantizer in float64 that shares no code with the library."""
    top = 2 ** (bits - 1)
    low, high, offset = {
        "narrow": (-top + 1, top - 1, 0.0),
        "full": (-top, top - 1, 0.0),
        "unsigned": (0, 2 * top - 1, 0.0),
        "reference": (-top, top - 1, 0.5),
        "equation1": (-top, top, 0.0),
    }[grid]
    nearest = np.floor(x / step_size - offset + 0.5)
    return np.clip(nearest, low, high) + offset


def integrated_error(name, step_size, bits, grid):
    x, p = mass(name, grid == "unsigned")
    error = x - step_size * codes_of(x, step_size, bits, grid)
    return np.sum(p * error**2)


def integrated_slope(name, step_size, bits, grid):
    x, p = mass(name, grid == "unsigned")
    codes = codes_of(x, step_size, bits, grid)
    return -2 * np.sum(p * codes * (x - step_size * codes))


QUANTIZERS = [
    (f"{name}_{grid}_{bits}", name, grid, bits)
    for name in NAMES
    for grid in FIXED_GRIDS
    for bits in (1, 2, 3, 5, 8)
    if exists(grid, bits)
]


class ExactTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(*QUANTIZERS)
    def test_error_and_slope_are_those_of_numerical_integration(
        self, name, grid, bits
    ):
        of = distribution(name, grid)
        # From steps that clip nearly everything to ones that leave one level.
        steps = np.array([0.1, 0.9, 2.1, 8.0]) / 2.0 ** (bits - 1)

        mse = theory.mean_squared_error(of, steps, bits, grid)
        slope = theory.slope(of, steps, bits, grid)

        for i, step in enumerate(steps):
            self.assertAllClose(
                mse[i],
                integrated_error(name, step, bits, grid),
                rtol=2e-5,
                atol=1e-9,
            )
            self.assertAllClose(
                slope[i],
                integrated_slope(name, step, bits, grid),
                rtol=2e-5,
                # Cells at the edges of bins err by a level each.
                atol=1e-4 * 2.0**bits,
            )

    @parameterized.named_parameters(*QUANTIZERS)
    def test_curvature_is_the_derivative_of_the_slope(self, name, grid, bits):
        of = distribution(name, grid)
        # Off the steps at which an edge leaves the uniform distribution.
        steps = np.array([0.313, 0.911, 2.117, 4.413]) / 2.0 ** (bits - 1)
        h = 1e-6 * steps

        differences = (
            theory.slope(of, steps + h, bits, grid)
            - theory.slope(of, steps - h, bits, grid)
        ) / (2 * h)

        self.assertAllClose(
            theory.curvature(of, steps, bits, grid),
            differences,
            rtol=1e-5,
            atol=1e-5 * 2.0**bits,
        )

    @parameterized.product(
        name=NAMES,
        case=(("narrow", 4), ("unsigned", 3), ("reference", 2), ("full", 5)),
    )
    def test_fake_quantize_measures_that_error(self, name, case):
        grid, bits = case
        best = theory.optimum(distribution(name, grid), bits, grid)
        count = 200_000  # One value per 1/200,000 of probability.
        random = np.random.default_rng(0).uniform(size=count)
        x = QUANTILES[name]((np.arange(count) + random) / count)
        x = np.abs(x) if grid == "unsigned" else x

        for ratio in (0.8, 1.0, 1.3):
            step = ratio * best.step_size
            y = fake_quantize(
                x, step, GRIDS[grid].levels(bits), GRIDS[grid].offset * step
            )

            self.assertAllClose(
                np.mean((x - y.numpy()) ** 2),
                theory.mean_squared_error(best.distribution, step, bits, grid),
                rtol=0.01,
                atol=0,
            )

    @given(
        name=st.sampled_from(NAMES),
        grid=st.sampled_from(FIXED_GRIDS),
        bits=st.integers(2, 8),
        step=st.floats(1e-3, 10.0),
        scale=st.floats(1e-4, 1e4),
    )
    def test_scaling_the_distribution_scales_the_error(
        self, name, grid, bits, step, scale
    ):
        """MSE(c X, c step) = c^2 MSE(X, step)."""
        of = distribution(name, grid)
        scaled = dataclasses.replace(of, standard_deviation=scale)

        self.assertAllClose(
            theory.mean_squared_error(scaled, scale * step, bits, grid)
            / scale**2,
            theory.mean_squared_error(of, step, bits, grid),
            rtol=1e-9,
            atol=1e-12,
        )

    def test_a_large_step_leaves_the_variance_and_no_curvature(self):
        """Fig. 1 (a): true of the quantizer, not of Eq. 9."""
        for name in NAMES:
            of = theory.DISTRIBUTIONS[name](2.0)

            self.assertAllClose(
                theory.mean_squared_error(of, 400.0, 4), 4.0, rtol=1e-12
            )
            self.assertAllClose(theory.curvature(of, 400.0, 4), 0.0)

    def test_results_have_the_shape_of_the_steps(self):
        steps = np.full((2, 3), 0.5)

        for function in (
            theory.mean_squared_error,
            theory.slope,
            theory.curvature,
        ):
            self.assertEqual(function(theory.Normal(), steps, 3).shape, (2, 3))
            self.assertEqual(function(theory.Normal(), 0.5, 3).shape, ())


class DistributionTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(name=NAMES, absolute=(False, True))
    def test_moments_and_density_are_those_of_scipy(self, name, absolute):
        x, p = mass(name, absolute)
        of = theory.DISTRIBUTIONS[name](absolute=absolute)

        for end in (-0.7, 0.4, 1.3):
            expected = [np.sum((p * x**i)[x <= end]) for i in range(3)]
            self.assertAllClose(of.moments_below(end), expected, atol=3e-4)
        total = [np.sum(p * x**i) for i in range(3)]
        self.assertAllClose(of.total_moments, total, atol=1e-6)
        density = DENSITIES[name][0](0.4) * (2 if absolute else 1)
        self.assertAllClose(of.density(0.4), density)
        self.assertAllClose(of.density(-0.4), 0.0 if absolute else density)

    @parameterized.parameters(*NAMES)
    def test_kurtosis_is_the_fourth_moment(self, name):
        x, p = mass(name, False)

        self.assertAllClose(
            theory.DISTRIBUTIONS[name].kurtosis, np.sum(p * x**4), rtol=1e-5
        )

    def test_a_uniform_distribution_is_named_by_its_half_width(self):
        of = theory.Uniform.on(2.0)

        self.assertAllClose(of.half_width, 2.0)
        self.assertAllClose(of.standard_deviation, 2.0 / np.sqrt(3))
        self.assertAllClose(of.density([1.99, 2.01]), [0.25, 0.0])


class OptimumTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(bits=ALL_BITS)
    def test_normal_optimum_has_the_check_values(self, bits):
        best = theory.optimum(theory.Normal(), bits, "equation1")

        i = bits - 1
        self.assertAllClose(best.clipping_range, NORMAL_TAU[i], rtol=4e-5)
        self.assertAllClose(
            best.mean_squared_error, NORMAL_MSE[i], rtol=3e-5, atol=0
        )
        self.assertAllClose(best.sensitivity, NORMAL_GAMMA[i], rtol=4e-3)

    @parameterized.parameters(
        (1, 1.596, 0.3634),
        (2, 0.9957, 0.1188),
        (3, 0.5860, 0.03744),
        (4, 0.3352, 0.01154),
        (5, 0.1881, 0.003495),
    )
    def test_mid_rise_optimum_is_that_of_max_1960(self, bits, step, mse):
        """Max, Quantizing for Minimum Distortion, Table II."""
        best = theory.optimum(theory.Normal(), bits, "reference")

        self.assertAllClose(best.step_size, step, rtol=5e-4)
        self.assertAllClose(best.mean_squared_error, mse, rtol=2e-3, atol=0)

    @parameterized.parameters(
        *[(g, m) for g in SYMMETRIC for m in ALL_BITS if exists(g, m)]
    )
    def test_uniform_optimum_splits_the_interval_evenly(self, grid, bits):
        n = 2**bits + {"narrow": -1, "reference": 0, "equation1": 1}[grid]

        best = theory.optimum(theory.Uniform.on(1.5), bits, grid)

        self.assertAllClose(best.step_size, 3.0 / n, rtol=1e-12)
        self.assertAllClose(
            best.mean_squared_error, 1.5**2 / (3 * n**2), rtol=1e-9, atol=0
        )
        self.assertAllClose(best.curvature, (n - 1) / 2, rtol=1e-9)

    @parameterized.named_parameters(*QUANTIZERS)
    def test_no_step_of_a_dense_grid_is_better(self, name, grid, bits):
        best = theory.optimum(distribution(name, grid), bits, grid)
        ratios = np.append(np.geomspace(0.05, 20, 1000), [0.999, 1.001])

        errors = theory.mean_squared_error(
            best.distribution, best.step_size * ratios, bits, grid
        )

        self.assertGreaterEqual(errors.min(), best.mean_squared_error)
        self.assertAllClose(
            theory.slope(best.distribution, best.step_size, bits, grid),
            0.0,
            atol=1e-11,
        )
        self.assertGreater(best.curvature, 0.0)

    @given(
        name=st.sampled_from(NAMES),
        bits=st.integers(2, 8),
        scale=st.floats(1e-6, 1e6),
    )
    def test_optimum_scales_with_the_distribution(self, name, bits, scale):
        one = theory.optimum(distribution(name), bits, "narrow")

        best = theory.optimum(theory.DISTRIBUTIONS[name](scale), bits, "narrow")

        self.assertAllClose(best.step_size / scale, one.step_size)
        self.assertAllClose(
            best.clipping_range, best.step_size * (2 ** (bits - 1) - 1)
        )
        self.assertAllClose(
            best.mean_squared_error / scale**2,
            one.mean_squared_error,
            rtol=1e-9,
            atol=0,
        )
        self.assertEqual(best.curvature, one.curvature)
        self.assertAllClose(best.signal_to_noise, one.signal_to_noise)

    def test_signal_to_noise_is_in_decibels(self):
        best = theory.optimum(theory.Uniform(), 8, "narrow")

        self.assertAllClose(best.signal_to_noise, 20 * np.log10(255))

    @parameterized.product(name=NAMES, bits=(1, 4, 8))
    def test_sensitivity_is_what_a_wrong_step_costs(self, name, bits):
        best = theory.optimum(distribution(name), bits)
        epsilon = np.array([-0.3, 0.4]) * best.step_size

        gamma = theory.sensitivity(best.distribution, epsilon, bits)

        costs = [
            integrated_error(name, best.step_size + e, bits, "equation1")
            - integrated_error(name, best.step_size, bits, "equation1")
            for e in epsilon
        ]
        self.assertAllClose(gamma, costs, rtol=1e-3, atol=1e-9)

    @parameterized.product(name=NAMES, bits=ALL_BITS)
    def test_second_order_sensitivity_is_the_limit_of_the_exact_one(
        self, name, bits
    ):
        """Lemma 1."""
        best = theory.optimum(distribution(name), bits)
        epsilon = 1e-2 * best.step_size / 4.0**bits

        exact = theory.sensitivity(best.distribution, epsilon, bits)

        self.assertAllClose(
            theory.second_order_sensitivity(best.distribution, epsilon, bits),
            exact,
            rtol=0.02,
            atol=1e-15,
        )


class PaperTest(tf.test.TestCase, parameterized.TestCase):
    @given(
        bits=st.integers(1, 8),
        share=st.floats(0.01, 1.0),
        half_width=st.floats(0.1, 10.0),
    )
    def test_equation_5_is_exact_up_to_its_limit(self, bits, share, half_width):
        step = share * 2 * half_width / (2**bits - 1)
        of = theory.Uniform.on(half_width)

        self.assertAllClose(
            paper.uniform_mse(step, bits, half_width) / half_width**2,
            theory.mean_squared_error(of, step, bits) / half_width**2,
            rtol=1e-9,
            atol=1e-13,
        )

    def test_equation_5_holds_beyond_where_its_first_term_is_positive(self):
        """Between 2 a / 2^M and 2 a / (2^M - 1), by hand.

        a = 1, M = 1, step 3/2: 0.25 of the mass rounds to +-1.5 with errors
        0.5..0.75, and the rest to 0.
        """
        by_hand = 0.75**3 / 3 + (0.75**3 - 0.5**3) / 3

        self.assertAllClose(paper.uniform_mse(1.5, 1), by_hand)
        self.assertAllClose(paper.uniform_mse(2.0, 1), 1 / 3)  # All to zero.

    @parameterized.parameters(*ALL_BITS)
    def test_equation_5_is_refused_beyond_its_limit(self, bits):
        limit = 2.0 / (2**bits - 1)
        step = 1.2 * limit
        printed = (1 - 2 ** (bits - 1) * step) ** 3 / 3
        printed += 2**bits * step**3 / 24
        exact = theory.mean_squared_error(theory.Uniform.on(1.0), step, bits)

        self.assertLess(printed, 0.97 * exact)
        for function in (paper.uniform_mse, paper.uniform_curvature):
            with self.assertRaisesRegex(ValueError, r"2 a / \(2\^M - 1\)"):
                function(step, bits)

    @parameterized.parameters(*ALL_BITS)
    def test_only_the_plus_of_equation_6_is_a_minimum(self, bits):
        of = theory.Uniform.on(1.0)
        plus, minus = paper.uniform_step_size(bits), 2 / (2**bits - 1)

        self.assertAllClose(theory.optimum(of, bits).step_size, plus)
        self.assertAllClose(theory.slope(of, minus, bits), 0.0, atol=1e-12)
        around = np.array([0.99, 1.0, 1.01]) * minus
        mse = theory.mean_squared_error(of, around, bits)
        self.assertGreater(mse[1], mse[0])
        if bits == 1:  # All values round to zero from here on.
            self.assertAllClose(mse[1:], [1 / 3, 1 / 3])
        else:
            self.assertGreater(mse[2], mse[1])

    @given(bits=st.integers(1, 8), share=st.floats(0.1, 0.999))
    def test_equation_8_is_the_curvature(self, bits, share):
        step = share * 2 / (2**bits - 1)

        self.assertAllClose(
            paper.uniform_curvature(step, bits),
            theory.curvature(theory.Uniform.on(1.0), step, bits),
            rtol=1e-9,
            atol=1e-9 * 4.0**bits,
        )

    @parameterized.parameters(*ALL_BITS)
    def test_equation_8_is_half_at_the_papers_step_and_not_at_the_best(
        self, bits
    ):
        half = paper.uniform_curvature(2 / 2**bits, bits)
        best = paper.uniform_curvature(paper.uniform_step_size(bits), bits)

        self.assertAllClose(half, 0.5)
        self.assertAllClose(
            half / 2 * 0.1**2, paper.printed_uniform_sensitivity(0.1)
        )
        self.assertAllClose(best, 2.0 ** (bits - 1))
        self.assertAllClose(
            best / 2 * 0.1**2, paper.uniform_sensitivity(0.1, bits)
        )

    @parameterized.parameters(*ALL_BITS)
    def test_the_curvature_vanishes_at_equation_12(self, bits):
        flat = paper.uniform_flat_step_size(bits, half_width=3.0)
        of = theory.Uniform.on(3.0)

        curvatures = theory.curvature(
            of, flat * np.array([0.9999, 1.0, 1.000001]), bits
        )

        self.assertAllClose(curvatures[1], 0.0, atol=1e-9)
        self.assertGreater(curvatures[0], 0.0)
        self.assertLess(curvatures[2], 0.0)
        self.assertBetween(flat, 6 / 2**bits, 6 / (2**bits - 1))
        self.assertAllClose(
            flat / theory.optimum(of, bits).step_size, 2**bits / (2**bits - 1)
        )

    @parameterized.parameters(*ALL_BITS)
    def test_equation_9_has_the_check_values(self, bits):
        step = paper.normal_step_size(bits)

        i = bits - 1
        tau = step * 2 ** (bits - 1)
        self.assertAllClose(tau, EQUATION_9_TAU[i], rtol=4e-5)
        self.assertAllClose(
            paper.normal_mse(step, bits), EQUATION_9_MSE[i], rtol=3e-5, atol=0
        )
        self.assertAllClose(
            paper.normal_sensitivity(1.0, bits), EQUATION_9_GAMMA[i], rtol=4e-3
        )

    @parameterized.parameters(
        (1, 0.130, 0.133),
        (2, 0.060, 0.069),
        (3, 0.024, 0.033),
        (4, 0.0084, 0.015),
        (5, 0.0028, 0.009),
        (8, 0.0001, 0.009),
    )
    def test_equation_9_errs_as_stated(self, bits, at_its_minimum, at_most):
        steps = np.append(paper.normal_step_size(bits), np.linspace(1e-3, 2))

        exact = theory.mean_squared_error(theory.Normal(), steps, bits)
        errors = paper.normal_mse(steps, bits) / exact - 1

        self.assertAllClose(errors[0], at_its_minimum, rtol=0.04, atol=5e-5)
        self.assertGreaterEqual(errors.min(), -1e-9)
        self.assertLessEqual(errors.max(), at_most + 5e-4)

    @given(bits=st.integers(1, 8), step=st.floats(0.05, 1.9))
    def test_equation_10_is_the_second_derivative_of_equation_9(
        self, bits, step
    ):
        h = 1e-3 * min(step, 2.0 ** (1 - bits))
        below, here, above = paper.normal_mse(
            2 * np.array([step - h, step, step + h]), bits, 2.0
        )

        self.assertAllClose(
            paper.normal_curvature(2 * step, bits, 2.0),
            (above - 2 * here + below) / (2 * h) ** 2,
            rtol=1e-3,
            atol=1e-3,
        )

    @parameterized.parameters(*ALL_BITS)
    def test_equations_10_and_11_as_printed_are_neither(self, bits):
        step = paper.normal_step_size(bits)

        printed = paper.printed_normal_curvature(step, bits)

        self.assertBetween(printed, -4.0, -11 / 6)  # As the paper says.
        self.assertGreater(paper.normal_curvature(step, bits), 0.0)
        bound = paper.printed_normal_sensitivity(1.0)
        self.assertAllClose(bound, 11 / 12)
        self.assertEqual(paper.normal_sensitivity(1.0, bits) < bound, bits < 5)

    def test_equation_9_is_refused_beyond_two_standard_deviations(self):
        for function in (
            paper.normal_mse,
            paper.normal_curvature,
            paper.printed_normal_curvature,
        ):
            function(6.0, 2, 3.0)
            with self.assertRaisesRegex(
                ValueError, "at most 2 standard deviations = 6. .*6.1.*use"
            ):
                function([0.5, 6.1], 2, 3.0)


class Theorem4Test(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(*ALL_BITS)
    def test_the_uniforms_error_is_smaller_at_its_optimum(self, bits):
        found = theory.theorem_4(bits)

        self.assertAllClose(found.mse_ratio, MSE_RATIO[bits - 1], atol=0.05)
        self.assertGreater(
            theory.theorem_4(bits, rival="laplace").mse_ratio, found.mse_ratio
        )

    @parameterized.product(bits=ALL_BITS, rival=("normal", "laplace"))
    def test_its_curvature_there_is_larger_against_the_theorem(
        self, bits, rival
    ):
        found = theory.theorem_4(bits, rival=rival)

        self.assertGreater(found.curvature_ratio, 1.0)
        self.assertAllClose(found.uniform.curvature, 2.0 ** (bits - 1))

    @parameterized.product(bits=ALL_BITS, rival=("normal", "laplace"))
    def test_a_step_that_is_too_small_costs_it_more(self, bits, rival):
        found = theory.theorem_4(bits, rival=rival, ratios=(0.5, 0.7, 0.9))

        for ours, theirs in zip(
            found.uniform_costs, found.rival_costs, strict=True
        ):
            self.assertGreater(ours, theirs)

    @parameterized.parameters(*range(3, 9))
    def test_a_step_that_is_much_too_large_costs_it_less(self, bits):
        found = theory.theorem_4(bits, ratios=(1.3, 1.5, 2.0))

        for ours, theirs in zip(
            found.uniform_costs, found.rival_costs, strict=True
        ):
            self.assertLess(ours, theirs)

    @parameterized.parameters(*ALL_BITS)
    def test_costs_are_those_of_numerical_integration(self, bits):
        found = theory.theorem_4(bits, ratios=(0.8, 1.5))

        for best, costs in (
            (found.uniform, found.uniform_costs),
            (found.rival, found.rival_costs),
        ):
            name, step = best.distribution.name, best.step_size
            expected = [
                integrated_error(name, ratio * step, bits, "equation1")
                - integrated_error(name, step, bits, "equation1")
                for ratio in found.ratios
            ]
            self.assertAllClose(costs, expected, rtol=1e-3, atol=1e-9)

    @parameterized.parameters((2, 1.593), (4, 1.128), (8, 1.024))
    def test_costs_are_equal_where_stated(self, bits, ratio):
        found = theory.theorem_4(bits).equal_cost_ratio
        self.assertAllClose(found, ratio, atol=1e-3)

        close = theory.theorem_4(bits, ratios=(found * 0.995, found * 1.005))

        (ours, after), (theirs, after_theirs) = (
            close.uniform_costs,
            close.rival_costs,
        )
        self.assertGreater(ours, theirs)
        self.assertLess(after, after_theirs)

    @parameterized.parameters((2, 0.497), (4, 0.814), (8, 0.961))
    def test_errors_are_equal_where_stated(self, bits, ratio):
        found = theory.theorem_4(bits)
        self.assertAllClose(found.equal_mse_ratio, ratio, atol=1e-3)

        at = found.equal_mse_ratio
        errors = [
            integrated_error(
                best.distribution.name, at * best.step_size, bits, "equation1"
            )
            for best in (found.uniform, found.rival)
        ]

        self.assertAllClose(errors[0], errors[1], rtol=1e-4, atol=0)

    def test_at_one_bit_a_large_step_never_costs_it_less(self):
        self.assertIsNone(theory.theorem_4(1).equal_cost_ratio)
        self.assertIsNone(theory.theorem_4(1).equal_mse_ratio)

    @parameterized.parameters(2, 4, 8)
    def test_one_level_more_on_one_side_flattens_the_optimum(self, bits):
        """On "full", Eq. 8 as printed: curvature 1/2."""
        found = theory.theorem_4(bits, grid="full", ratios=(1.5,))

        self.assertAllClose(found.uniform.curvature, 0.5)
        self.assertLess(found.curvature_ratio, 1.0)
        self.assertGreater(found.mse_ratio, 1.0)
        self.assertLess(found.uniform_costs[0], found.rival_costs[0])

    def test_it_holds_for_unsigned_tensors_too(self):
        found = theory.theorem_4(4, grid="unsigned")

        self.assertTrue(found.rival.distribution.absolute)
        self.assertGreater(found.mse_ratio, 3.0)
        self.assertGreater(found.curvature_ratio, 1.0)


class ExamplesTest(parameterized.TestCase):
    @parameterized.parameters("", ".distributions", ".optimum", ".theorem_4")
    def test_examples_give_what_they_show(self, module):
        found = doctest.testmod(sys.modules[f"kure_tf.paper.theory{module}"])

        self.assertGreater(found.attempted, 0)
        self.assertEqual(found.failed, 0)


class ArgumentsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(
        ("no_bits", ValueError, "1..8.*Received: 0", 0.1, 0, "equation1"),
        ("nine_bits", ValueError, "1..8.*best_step_size", 0.1, 9, "equation1"),
        ("half_a_bit", TypeError, "whole number.*2.5", 0.1, 2.5, "equation1"),
        ("truth", TypeError, "whole number.*True", 0.1, True, "equation1"),
        ("no_step", ValueError, "step size.*positive", 0.0, 4, "equation1"),
        ("nan", ValueError, "step size.*finite", np.nan, 4, "equation1"),
        ("text", TypeError, "step size in numbers", "0.1", 4, "equation1"),
        ("grid", ValueError, "name of a grid.*'round'", 0.1, 4, "round"),
        ("adaptive", ValueError, "do not depend", 0.1, 4, "asymmetric"),
        ("one_level", ValueError, "at least 2 bits", 0.1, 1, "narrow"),
    )
    def test_is_refused_with_a_way_out(self, error, message, step, bits, grid):
        with self.assertRaisesRegex(error, message):
            theory.mean_squared_error(theory.Normal(), step, bits, grid)

    @parameterized.parameters(0.0, -1.0, np.inf)
    def test_a_standard_deviation_is_positive_and_finite(self, value):
        with self.assertRaisesRegex(ValueError, "standard deviation"):
            theory.Normal(value)
        with self.assertRaisesRegex(ValueError, "half width"):
            theory.Uniform.on(value)

    def test_a_name_is_no_distribution(self):
        for call in (theory.optimum, theory.sensitivity):
            arguments = (4,) if call is theory.optimum else (0.1, 4)
            with self.assertRaisesRegex(TypeError, r"Normal\(\).*'normal'"):
                call("normal", *arguments)

    def test_epsilon_leaves_a_positive_step(self):
        with self.assertRaisesRegex(ValueError, "above minus the optimal"):
            theory.sensitivity(theory.Normal(), -1.0, 4)

    def test_the_rival_is_another_distribution(self):
        with self.assertRaisesRegex(ValueError, "'normal' or 'laplace'"):
            theory.theorem_4(4, rival="uniform")
        with self.assertRaisesRegex(ValueError, "laplace.*'cauchy'"):
            theory.theorem_4(4, rival="cauchy")
        with self.assertRaisesRegex(ValueError, "ratios to be positive"):
            theory.theorem_4(4, ratios=(1.0, 0.0))


if __name__ == "__main__":
    tf.test.main()
