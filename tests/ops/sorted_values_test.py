import tracemalloc

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from step_problems import TENSORS, brute_force_errors, problem

from kure_tf.ops.quantization_error import mean_squared_error
from kure_tf.ops.sorted_values import SortedValues


class SortedValuesTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        tensor=tuple(TENSORS),
        case=(("narrow", 2), ("narrow", 8), ("reference", 3), ("full", 4)),
    )
    def test_mean_squared_error_equals_brute_force(self, tensor, case):
        x = TENSORS[tensor]
        levels, offset, largest = problem(x, *case)
        step_sizes = largest * np.array([1.7, 1.0, 0.61, 0.2, 0.03])

        errors = mean_squared_error(SortedValues(x), step_sizes, levels, offset)

        self.assertAllClose(
            errors,
            brute_force_errors(x, step_sizes, levels, offset, 2),
            rtol=1e-5,
            atol=1e-9 * np.mean(np.square(x)),
        )

    @parameterized.product(tensor=tuple(TENSORS), p=(1, 2, 2.5, 4))
    def test_lp_errors_equal_brute_force(self, tensor, p):
        x = TENSORS[tensor]
        levels, offset, largest = problem(x, "narrow", 4)
        step_sizes = largest * np.array([1.0, 0.61, 0.2])

        errors = SortedValues(x).lp_errors(step_sizes, levels, offset, p)

        # Beyond 2^14 values, quantiles stand for all.
        rtol = 1e-5 if x.size <= 1 << 14 else 2e-3
        self.assertAllClose(
            errors**p,
            brute_force_errors(x, step_sizes, levels, offset, p),
            rtol=rtol,
            atol=1e-9 * np.mean(np.abs(x) ** p),
        )

    @parameterized.parameters("normal", "heavy_tailed", "many_weights")
    def test_the_max_norm_is_the_largest_error(self, tensor):
        x = TENSORS[tensor]
        levels, offset, largest = problem(x, "narrow", 4)
        step_sizes = largest * np.array([1.7, 1.0, 0.61, 0.2])

        errors = SortedValues(x).lp_errors(step_sizes, levels, p=np.inf)

        codes = np.clip(np.round(x / step_sizes[:, None]), *levels)
        brute = np.abs(x - codes * step_sizes[:, None]).max(1)
        self.assertAllClose(errors, brute, rtol=1e-3)

    def test_it_takes_four_times_the_memory_of_its_values(self):
        """Sorted in float32, and their running sums in float64, beside them."""
        values = np.random.default_rng(0).normal(size=1 << 20)
        values = values.astype(np.float32)
        tracemalloc.start()
        SortedValues(values)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        self.assertLess(peak, 4.5 * values.nbytes)


if __name__ == "__main__":
    tf.test.main()
