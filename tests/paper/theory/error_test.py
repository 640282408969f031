"""The error of named grids against integration of the quantizer."""

import doctest
import sys

import integrated_quantizer as truth
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf.paper import theory


class NamedGridTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(name=truth.NAMES, grid=truth.FIXED_GRIDS)
    def test_a_grid_is_known_by_its_name(self, name, grid):
        of = theory.DISTRIBUTIONS[name](absolute=grid == "unsigned")

        for step in (0.11, 0.57):
            self.assertAllClose(
                theory.mean_squared_error(of, step, 3, grid),
                truth.error(name, step, 3, grid),
                rtol=2e-5,
            )
            self.assertAllClose(
                theory.slope(of, step, 3, grid),
                truth.slope(name, step, 3, grid),
                rtol=2e-5,
                atol=1e-3,
            )
            self.assertAllClose(
                theory.curvature(of, step, 3, grid),
                (
                    theory.slope(of, step + 1e-6, 3, grid)
                    - theory.slope(of, step - 1e-6, 3, grid)
                )
                / 2e-6,
                rtol=1e-4,
                atol=1e-4,
            )


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


class ExamplesTest(parameterized.TestCase):
    @parameterized.parameters("", ".optimum", ".theorem_4")
    def test_examples_give_what_they_show(self, module):
        found = doctest.testmod(sys.modules[f"kure_tf.paper.theory{module}"])

        self.assertGreater(found.attempted, 0)
        self.assertEqual(found.failed, 0)


if __name__ == "__main__":
    tf.test.main()
