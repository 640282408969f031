import numpy as np
from absl.testing import absltest, parameterized

from kure_tf.ops.lp_errors import lp_errors
from kure_tf.ops.squared_errors import LONGEST, mean_squared_errors
from kure_tf.ops.step_search import best_step_sizes


def _brute_force(rows, step_sizes, levels, offset):
    """Returns the mean squared errors in steps, one by one in float64."""
    v = rows[:, np.newaxis] / step_sizes[..., np.newaxis] - offset
    codes = np.clip(np.rint(v), *levels)
    return np.mean((v - codes) ** 2, axis=-1)


class MeanSquaredErrorsTest(parameterized.TestCase):
    @parameterized.product(
        shape=((1, 1), (3, 64), (5, 65), (40, 700), (1030, 3), (1, LONGEST)),
        steps=(1, 16, 49, 131),
        offset=(0.0, 0.5, -0.25),
    )
    def test_they_equal_brute_force(self, shape, steps, offset):
        if shape[1] == LONGEST:
            steps = min(steps, 3)
        rng = np.random.default_rng(0)
        rows = rng.normal(size=shape).astype(np.float32)
        ratios = np.geomspace(0.3, 1.5, steps)
        step_sizes = np.outer(np.abs(rows).max(1) / 7, ratios)

        found = mean_squared_errors(rows, step_sizes, (-8, 7), offset)

        self.assertEqual(found.shape, step_sizes.shape)
        expected = _brute_force(rows, step_sizes, (-8, 7), offset)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=5e-6)

    @parameterized.parameters(0.0, 0.5)
    def test_much_work_is_done_as_little_is(self, offset):
        rng = np.random.default_rng(0)
        rows = rng.normal(size=(300, 200)).astype(np.float32)
        step_sizes = np.outer(np.abs(rows).max(1), np.geomspace(0.01, 0.1, 80))
        grid = (-8, 7), offset

        together = lp_errors(rows, step_sizes, *grid)

        few = [
            lp_errors(rows[i : i + 1], step_sizes[i : i + 1], *grid)[0]
            for i in range(300)
        ]
        np.testing.assert_allclose(together, few, rtol=1e-5)

    def test_many_rows_get_steps_within_a_thousandth_of_a_dense_grid(self):
        rng = np.random.default_rng(0)
        rows = rng.normal(size=(400, 300)).astype(np.float32)
        largest, levels = np.abs(rows).max(1) / 127, (-127, 127)

        together = best_step_sizes(rows, largest, levels)

        few = range(0, 400, 40)
        # Below 0.7 of the largest step three thousandths are cut off.
        dense = np.outer(largest[few], np.linspace(0.7, 1.3, 1500))
        errors = [
            (_brute_force(rows[few], steps, levels, 0) * steps**2).min(axis=1)
            for steps in (together[few, np.newaxis], dense)
        ]
        np.testing.assert_array_less(errors[0], 1.001 * errors[1])


if __name__ == "__main__":
    absltest.main()
