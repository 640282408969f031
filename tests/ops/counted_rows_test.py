import numpy as np
from absl.testing import absltest, parameterized

from kure_tf.ops.counted_rows import CountedRows

_GRIDS = (((-127, 127), 0.0), ((-128, 127), 0.0), ((-8, 7), 0.5), ((0, 3), 0.0))


def _brute_force(rows, largest, ratios, levels, offset):
    """Returns the errors over the largest steps squared, in float64."""
    v = (rows / largest[:, np.newaxis])[:, np.newaxis]
    ratios = np.array(ratios)[:, np.newaxis]
    codes = np.clip(np.rint(v / ratios - offset), *levels) + offset
    return np.mean((v - codes * ratios) ** 2, axis=-1)


class CountedRowsTest(parameterized.TestCase):
    @parameterized.product(grid=_GRIDS, size=(1, 90, 40_000))
    def test_errors_of_values_on_nodes_are_exact(self, grid, size):
        levels, offset = grid
        rng = np.random.default_rng(0)
        # Sixteenths of steps between the outer levels.
        ends = 16 * (np.array(levels) + offset)
        values = rng.integers(ends[0], ends[1] + 1, (3, size)) / 16
        largest = np.array([1.0, 0.25, 8.0])
        rows = np.float32(values * largest[:, np.newaxis])
        ratios = (1.9, 1.0, 0.83, 0.2)

        counted = CountedRows(rows, largest, levels, offset)

        np.testing.assert_allclose(
            counted.mean_squared_errors(ratios),
            _brute_force(rows, largest, ratios, levels, offset),
            rtol=1e-4,
            atol=1e-6,
        )

    @parameterized.product(grid=_GRIDS, size=(500, 5000))
    def test_errors_of_other_values_are_close(self, grid, size):
        """What a straight line adds between levels, it lacks at their middle.

        The 16th of values that are there at 8 bits make the error of a sum.
        """
        levels, offset = grid
        rng = np.random.default_rng(0)
        ends = np.array(levels) + offset
        values = rng.uniform(*ends, (100, size)).astype(np.float32)
        ratios = tuple(np.linspace(1.1, 0.9, 70))
        ones = np.ones(100)

        counted = CountedRows(values, ones, levels, offset)

        brute = _brute_force(values, ones, ratios, levels, offset)
        more = counted.mean_squared_errors(ratios) / brute - 1
        self.assertLess(np.abs(more.mean(axis=0)).max(), 2e-3)
        self.assertLess(more.std(), 0.04 / np.sqrt(size))

    def test_values_beyond_the_nodes_count_as_the_outermost(self):
        rows = np.array([[9.0, -9.0, 1.0]], np.float32)
        inside = np.array([[3.5, -3.5, 1.0]], np.float32)
        errors = [
            CountedRows(x, np.ones(1), (-3, 3)).mean_squared_errors((1.0,))
            for x in (rows, inside)
        ]
        np.testing.assert_allclose(errors[0], errors[1])

    def test_errors_of_some_rows_are_those_among_all(self):
        rows = np.random.default_rng(0).normal(size=(5, 90)).astype(np.float32)
        counted = CountedRows(rows, np.abs(rows).max(axis=1), (-1, 1))
        some = np.array([True, False, False, True, True])

        np.testing.assert_allclose(
            counted.mean_squared_errors((1.0, 0.7), some),
            counted.mean_squared_errors((1.0, 0.7))[some],
            rtol=1e-5,
        )


if __name__ == "__main__":
    absltest.main()
