import os
import threading
from unittest import mock

import numpy as np
from absl.testing import absltest, parameterized

from kure_tf.ops.step_search import best_step_sizes
from kure_tf.ops.threads import in_threads, thread_count


def _threads(count):
    variable = {"TF_NUM_INTRAOP_THREADS": str(count)}
    return mock.patch.dict(os.environ, variable)


class ThreadsTest(parameterized.TestCase):
    def test_the_count_is_tensorflows(self):
        with _threads(3):
            self.assertEqual(thread_count(), 3)
        with _threads(""):
            self.assertEqual(thread_count(), len(os.sched_getaffinity(0)))

    @parameterized.parameters(1, 3)
    def test_results_stand_in_the_order_of_the_parts(self, count):
        with _threads(count):
            squares = in_threads(lambda number: number**2, range(50))
            self.assertEmpty(in_threads(str, []))
        self.assertSequenceEqual(squares, [n * n for n in range(50)])

    def test_parts_are_worked_at_side_by_side(self):
        """Two that wait for one another end only if both have begun."""
        met = threading.Barrier(2, timeout=30)

        with _threads(2):
            in_threads(lambda _: met.wait(), range(2))

    def test_an_error_reaches_the_caller(self):
        with _threads(2), self.assertRaisesRegex(ZeroDivisionError, "division"):
            in_threads(lambda number: 1 / number, [1, 2, 0, 3])

    @parameterized.parameters(40, 20_000)
    def test_threads_change_no_step_size(self, values):
        rows = np.random.default_rng(0).standard_t(
            3, (200_000 // values, values)
        )
        largest = np.abs(rows).max(1) / 127
        levels = (-127.0, 127.0)

        with _threads(1):
            alone = best_step_sizes(rows, largest, levels)
        with _threads(4):
            np.testing.assert_array_equal(
                best_step_sizes(rows, largest, levels), alone
            )


if __name__ == "__main__":
    absltest.main()
