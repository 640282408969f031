"""Optimal quantizers against check values, tables and dense grids."""

import integrated_quantizer as truth
import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from hypothesis import given
from hypothesis import strategies as st
from integrated_quantizer import ALL_BITS, NAMES, SYMMETRIC, exists

from kure_tf.paper import theory

# Of the quantizer of Eq. 1, integrated outside this project: M = 1..8.
NORMAL_TAU = (1.2240, 1.6860, 2.1353, 2.5512, 2.9330, 3.2857, 3.6147, 3.9239)
NORMAL_MSE = (
    *(0.19017, 0.082178, 0.030696, 0.010405),
    *(0.0033133, 0.0010120, 3.0014e-4, 8.7071e-5),
)
NORMAL_GAMMA = (0.338, 0.457, 0.600, 0.761, 0.937, 1.12, 1.31, 1.51)


def _of(name, grid="equation1"):
    return theory.DISTRIBUTIONS[name](absolute=grid == "unsigned")


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

    @parameterized.named_parameters(*truth.QUANTIZERS)
    def test_no_step_of_a_dense_grid_is_better(self, name, grid, bits):
        best = theory.optimum(_of(name, grid), bits, grid)
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
        one = theory.optimum(_of(name), bits, "narrow")

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

    @parameterized.parameters(*NAMES)
    def test_a_distribution_may_lie_beside_zero(self, name):
        of = theory.DISTRIBUTIONS[name](2.0, location=-1.1)
        ratios = np.append(np.geomspace(0.05, 20, 1000), [0.999, 1.001])

        best = theory.optimum(of, 3, "full")

        errors = theory.mean_squared_error(
            of, best.step_size * ratios, 3, "full"
        )
        self.assertGreaterEqual(errors.min(), best.mean_squared_error)
        power = 10 * np.log10((4 + 1.21) / best.mean_squared_error)
        self.assertAllClose(best.signal_to_noise, power)

    def test_signal_to_noise_is_in_decibels(self):
        best = theory.optimum(theory.Uniform(), 8, "narrow")

        self.assertAllClose(best.signal_to_noise, 20 * np.log10(255))

    @parameterized.product(name=NAMES, bits=(1, 4, 8))
    def test_sensitivity_is_what_a_wrong_step_costs(self, name, bits):
        best = theory.optimum(_of(name), bits)
        epsilon = np.array([-0.3, 0.4]) * best.step_size

        gamma = theory.sensitivity(best.distribution, epsilon, bits)

        costs = [
            truth.error(name, best.step_size + e, bits)
            - truth.error(name, best.step_size, bits)
            for e in epsilon
        ]
        self.assertAllClose(gamma, costs, rtol=1e-3, atol=1e-9)

    @parameterized.product(name=NAMES, bits=ALL_BITS)
    def test_second_order_sensitivity_is_the_limit_of_the_exact_one(
        self, name, bits
    ):
        """Lemma 1."""
        best = theory.optimum(_of(name), bits)
        epsilon = 1e-2 * best.step_size / 4.0**bits

        exact = theory.sensitivity(best.distribution, epsilon, bits)

        self.assertAllClose(
            theory.second_order_sensitivity(best.distribution, epsilon, bits),
            exact,
            rtol=0.02,
            atol=1e-15,
        )

    def test_epsilon_leaves_a_positive_step(self):
        with self.assertRaisesRegex(ValueError, "above minus the optimal"):
            theory.sensitivity(theory.Normal(), -1.0, 4)

    def test_a_name_is_no_distribution(self):
        for call in (theory.optimum, theory.sensitivity):
            arguments = (4,) if call is theory.optimum else (0.1, 4)
            with self.assertRaisesRegex(TypeError, r"Normal\(\).*'normal'"):
                call("normal", *arguments)


if __name__ == "__main__":
    tf.test.main()
