import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from step_problems import brute_force_errors

from kure_tf.ops.lp_errors import lp_errors


class LpErrorsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        shape=((1, 9), (700, 9), (5, 400), (1, 200_000)),
        steps=(1, 3, 700),
        offset=(0.0, 0.5),
        p=(2, 3),
    )
    def test_errors_of_rows_equal_brute_force(self, shape, steps, offset, p):
        if shape[1] * steps > 1e6:
            steps = 2
        rows = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        ratios = np.geomspace(0.5, 2.0, steps)
        step_sizes = np.outer(np.abs(rows).max(1) / 7, ratios)

        found = lp_errors(rows, step_sizes, (-8.0, 7.0), offset, p)

        self.assertEqual(found.shape, step_sizes.shape)
        for row in {0, len(rows) - 1}:
            brute = brute_force_errors(
                rows[row], step_sizes[row], (-8.0, 7.0), offset, p
            )
            self.assertAllClose(found[row] ** p, brute, rtol=1e-4)


if __name__ == "__main__":
    tf.test.main()
