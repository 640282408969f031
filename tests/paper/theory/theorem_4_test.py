"""Theorem 4 as it holds, against numerical integration."""

import integrated_quantizer as truth
import tensorflow as tf
from absl.testing import parameterized
from integrated_quantizer import ALL_BITS

from kure_tf.paper import theory

MSE_RATIO = (1.7, 2.1, 2.5, 3.0, 3.6, 4.3, 5.0, 5.8)


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
                truth.error(name, ratio * step, bits)
                - truth.error(name, step, bits)
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
            truth.error(best.distribution.name, at * best.step_size, bits)
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

    def test_the_rival_is_another_distribution(self):
        with self.assertRaisesRegex(ValueError, "'normal' or 'laplace'"):
            theory.theorem_4(4, rival="uniform")
        with self.assertRaisesRegex(ValueError, "laplace.*'cauchy'"):
            theory.theorem_4(4, rival="cauchy")
        with self.assertRaisesRegex(ValueError, "ratios to be positive"):
            theory.theorem_4(4, ratios=(1.0, 0.0))


if __name__ == "__main__":
    tf.test.main()
