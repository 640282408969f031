"""The paper's formulas against the quantizer itself."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from hypothesis import given
from hypothesis import strategies as st
from integrated_quantizer import ALL_BITS

from kure_tf.paper import theory
from kure_tf.paper.theory import paper

# Of Eq. 9, minimized outside this project: M = 1..8.
EQUATION_9_TAU = (
    *(1.2399, 1.7106, 2.1516, 2.5591),
    *(2.9362, 3.2869, 3.6151, 3.9240),
)
EQUATION_9_MSE = (
    *(0.21501, 0.087148, 0.031429, 0.010493),
    *(0.0033226, 0.0010129, 3.0022e-4, 8.7077e-5),
)
EQUATION_9_GAMMA = (0.298, 0.432, 0.586, 0.755, 0.934, 1.12, 1.31, 1.51)


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


if __name__ == "__main__":
    tf.test.main()
