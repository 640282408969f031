import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from step_problems import TENSORS, brute_force_errors, problem

from kure_tf.ops import GRIDS
from kure_tf.ops.quantization_error import mean_squared_error
from kure_tf.ops.sorted_values import SortedValues
from kure_tf.ops.step_search import best_step_size, best_step_sizes


class BestStepSizeTest(tf.test.TestCase, parameterized.TestCase):
    # The dense grid reaches from twice the largest step, beyond which no
    # level but zero is new, down to where nearly everything is clipped.
    DENSE = np.append(np.geomspace(2.0, 0.01, 2000), 1.0)

    @parameterized.product(
        tensor=tuple(TENSORS), bits=tuple(range(2, 9)), grid=("narrow",)
    )
    def test_mse_is_within_a_thousandth_of_a_dense_grid(
        self, tensor, bits, grid
    ):
        self._check(TENSORS[tensor], grid, bits, p=2)

    @parameterized.product(tensor=tuple(TENSORS), bits=(2, 5, 8), p=(1, 2.5, 4))
    def test_other_norms_are_within_a_thousandth(self, tensor, bits, p):
        self._check(TENSORS[tensor], "narrow", bits, p)

    @parameterized.parameters(1, 2.5, 4)
    def test_quantiles_of_many_weights_are_enough(self, p):
        self._check(TENSORS["many_weights"], "narrow", 4, p)

    @parameterized.product(
        degrees=(2, 3, 30), bits=(2, 4, 8), shift=(0.0, 100.0)
    )
    def test_bins_of_a_large_tensor_are_enough(self, degrees, bits, shift):
        x = np.random.default_rng(1).standard_t(degrees, 40_000) + shift
        self._check(x, "narrow", bits, p=2)

    @parameterized.parameters(1, 4)
    def test_bins_of_a_large_tensor_are_enough_for_other_norms(self, p):
        x = np.random.default_rng(1).standard_t(3, 40_000)
        self._check(x, "narrow", 4, p)

    def test_a_large_tensor_on_a_grid_keeps_its_step(self):
        codes = np.random.default_rng(1).integers(-7, 8, 40_000)

        step = best_step_size(codes * 0.125, 1.0, (-7.0, 7.0))

        self.assertAllClose(step, 0.125, rtol=1e-3)

    def test_many_levels_of_a_large_tensor_are_searched_exactly(self):
        x = np.random.default_rng(1).normal(size=40_000)
        largest = np.abs(x).max() / 32767

        step = best_step_size(x, largest, (-32767.0, 32767.0))

        levels = (-32767, 32767)
        self.assertLessEqual(
            brute_force_errors(x, [step], levels, 0.0, 2)[0],
            1.001
            * brute_force_errors(
                x, largest * self.DENSE[::20], levels, 0.0, 2
            ).min(),
        )

    @parameterized.product(
        tensor=("normal", "uniform", "few_valued", "nine_weights"),
        bits=(2, 5, 8),
        grid=("reference", "equation1", "full"),
    )
    def test_other_grids_are_within_a_thousandth(self, tensor, bits, grid):
        self._check(TENSORS[tensor], grid, bits, p=2)

    @parameterized.product(bits=(2, 4, 8), p=(1, 2))
    def test_unsigned_tensors(self, bits, p):
        self._check(np.maximum(TENSORS["normal"], 0), "unsigned", bits, p)

    def _check(self, x, grid, bits, p):
        levels, offset, largest = problem(x, grid, bits)
        # Brute force is slow on large tensors: fewer steps there.
        dense = largest * self.DENSE[:: 1 if x.size <= 1000 else 20]

        step_size = best_step_size(x, largest, levels, offset, p)

        best = brute_force_errors(x, dense, levels, offset, p).min()
        error = brute_force_errors(x, [step_size], levels, offset, p)[0]
        rounding = 1e-9 * np.mean(np.abs(x) ** p)
        self.assertLessEqual(error, best * 1.001 + rounding)

    @parameterized.product(p=(1, 2, 2.5, 4), size=(1, 9, 1000))
    def test_zeros_give_a_positive_finite_step(self, p, size):
        step_size = best_step_size(np.zeros(size), 1.0, (-7.0, 7.0), p=p)

        self.assertTrue(np.isfinite(step_size))
        self.assertGreater(step_size, 0.0)

    @parameterized.named_parameters(
        # Optimal clipping of a standard normal by the quantizer of Eq. 1:
        # numerical integration, tau = 2^(M-1) step.
        ("2_bits", 2, 1.6860, 0.082178),
        ("3_bits", 3, 2.1353, 0.030696),
        ("4_bits", 4, 2.5512, 0.010405),
    )
    def test_normal_optimum_is_that_of_the_theory(self, bits, tau, mse):
        count = 200_001
        grid = GRIDS["equation1"]
        quantiles = tf.math.ndtri((np.arange(count) + 0.5) / count).numpy()
        levels, offset, largest = problem(quantiles, "equation1", bits)

        step_size = best_step_size(quantiles, largest, levels, offset)

        # The minimum is flat: the step has fewer digits than the error.
        self.assertAllClose(step_size * grid.extent(bits), tau, rtol=0.01)
        error = mean_squared_error(
            SortedValues(quantiles), np.array([step_size]), levels
        )
        self.assertAllClose(error, [mse], rtol=1e-3)

    def test_scaling_a_tensor_scales_its_step(self):
        x = TENSORS["normal"]
        levels, _, largest = problem(x, "narrow", 4)

        step_size = best_step_size(x, largest, levels)

        self.assertAllClose(
            best_step_size(x * 1024, largest * 1024, levels),
            step_size * 1024,
            rtol=1e-6,
        )

    @parameterized.parameters(20.0, 300.0, float("inf"))
    def test_large_norms_come_near_the_smallest_largest_error(self, p):
        """With p the Lp norm tends to the max norm (large p underflows)."""
        x = TENSORS["normal"] * 0.05
        levels, _, largest = problem(x, "narrow", 4)

        step_size = best_step_size(x, largest, levels, p=p)

        def largest_error(step):
            codes = np.clip(np.round(x / step), *levels)
            return np.abs(x - codes * step).max()

        least = min(largest_error(step) for step in largest * self.DENSE)
        allowed = 1.001 * x.size ** (1 / p)
        self.assertLessEqual(largest_error(step_size), allowed * least)


class BestStepSizesTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        count=(1, 9, 64, 65, 300, 3000), bits=(2, 4, 8), p=(2, 2.5)
    )
    def test_each_row_gets_what_it_gets_alone(self, count, bits, p):
        """Rows that are alike, widely spread, or few-valued share a call."""
        rng = np.random.default_rng(count)
        rows = rng.normal(size=(7, count))
        rows[1] *= 1e3
        rows[2] = rng.standard_t(1.5, count)
        rows[3] = rng.choice([-0.7, 0.0, 0.7], count)
        rows[4] = 0.0
        largest = np.abs(rows).max(1) / (2 ** (bits - 1) - 1)
        largest[4] = 1.0
        levels = GRIDS["narrow"].levels(bits)

        together = best_step_sizes(rows, largest, levels, p=p)

        alone = [
            best_step_size(row, step, levels, p=p)
            for row, step in zip(rows, largest, strict=True)
        ]
        for row, ours, theirs in zip(rows, together, alone, strict=True):
            errors = brute_force_errors(row, [ours, theirs], levels, 0.0, p)
            slack = 1e-9 * np.mean(np.abs(row) ** p)
            self.assertLessEqual(errors[0], 1.001 * errors[1] + slack)

    @parameterized.product(
        values=("normal", "laplace", "uniform", "outliers", "sparse", "codes"),
        shape=((100, 512), (40, 4608)),
        bits=(2, 4, 8),
    )
    def test_many_rows_lose_little_by_being_counted(self, values, shape, bits):
        """Their errors are those of rows alone, within 2/10000 on average.

        At 8 bits a row has many minima that are nearly as good: of few rows the
        error is some thousandths larger.
        """
        rng = np.random.default_rng(0)
        rows = {
            "normal": rng.normal(size=shape),
            "laplace": rng.laplace(size=shape),
            "uniform": rng.uniform(-1, 1, shape),
            "outliers": rng.standard_t(2, shape),
            "sparse": rng.normal(size=shape) * (rng.random(shape) < 0.5),
            "codes": 0.01 * np.rint(rng.normal(0, 25, shape)),
        }[values].astype(np.float32)
        levels = GRIDS["narrow"].levels(bits)
        largest = np.abs(rows).max(axis=1) / levels[1]

        together = best_step_sizes(rows, largest, levels)

        more = []
        for row, step, ours in zip(rows, largest, together, strict=True):
            alone = best_step_size(row, step, levels)
            errors = brute_force_errors(row, [ours, alone], levels, 0.0, 2)
            slack = 1e-9 * np.mean(row**2)
            more.append((errors[0] + slack) / (errors[1] + slack) - 1)
        self.assertLess(np.mean(more), 2e-4)
        self.assertLess(np.quantile(more, 0.9), 1e-3)
        self.assertLess(np.max(more), 1e-2 if bits == 8 else 2e-3)

    @parameterized.parameters("full", "equation1", "unsigned")
    def test_many_rows_on_other_grids_are_counted(self, grid):
        rng = np.random.default_rng(0)
        rows = rng.laplace(size=(20, 500)).astype(np.float32)
        if grid == "unsigned":
            rows = np.abs(rows)
        levels, offset, _ = problem(rows, grid, 4)
        largest = np.abs(rows).max(axis=1) / GRIDS[grid].extent(4)

        together = best_step_sizes(rows, largest, levels, offset)

        for row, step, ours in zip(rows, largest, together, strict=True):
            alone = best_step_size(row, step, levels, offset)
            errors = brute_force_errors(row, [ours, alone], levels, offset, 2)
            self.assertLess(errors[0], 1.001 * errors[1])

    @parameterized.product(size=(600, 4608), bits=(4, 8), outlier=(300.0, 1e4))
    def test_rows_of_few_values_that_matter_are_looked_at(
        self, size, bits, outlier
    ):
        """Counted, some had 23 times the error that they could have."""
        rows = np.random.default_rng(0).normal(size=(40, size))
        rows[:, :3] *= outlier
        rows = rows.astype(np.float32)
        levels = GRIDS["narrow"].levels(bits)
        largest = np.abs(rows).max(axis=1) / levels[1]

        together = best_step_sizes(rows, largest, levels)

        few = np.concatenate(
            [
                best_step_sizes(rows[i : i + 10], largest[i : i + 10], levels)
                for i in range(0, 40, 10)
            ]
        )
        more = [
            errors[0] / errors[1] - 1
            for row, *steps in zip(rows, together, few, strict=True)
            for errors in [brute_force_errors(row, steps, levels, 0.0, 2)]
        ]
        self.assertLess(np.mean(more), 2e-4)
        self.assertLess(np.max(more), 2e-3)

    def test_values_that_all_steps_clip_are_looked_at(self):
        rows = np.random.default_rng(0).normal(size=(17, 600))
        rows = rows.astype(np.float32)
        largest, levels = rows.max(axis=1) / 15.5, (0, 15)

        together = best_step_sizes(rows, largest, levels, 0.5)

        few = best_step_sizes(rows[:9], largest[:9], levels, 0.5)
        self.assertAllClose(together[:9], few, rtol=1e-3)

    def test_tiny_values_get_steps_beside_large_ones(self):
        rows = np.random.default_rng(0).normal(size=(20, 500))
        rows *= np.logspace(-35, 30, 20)[:, np.newaxis]
        rows = rows.astype(np.float32)
        levels = GRIDS["narrow"].levels(8)
        largest = np.abs(rows).max(axis=1).astype(np.float64) / 127

        ratios = best_step_sizes(rows, largest, levels) / largest

        self.assertAllInRange(ratios, 0.9, 1.1)

    def test_no_rows_give_no_steps(self):
        self.assertEmpty(best_step_sizes(np.zeros((0, 5)), [], (-7.0, 7.0)))


if __name__ == "__main__":
    tf.test.main()
