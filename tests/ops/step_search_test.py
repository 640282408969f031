import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf.ops import GRIDS
from kure_tf.ops.quantization_error import mean_squared_error
from kure_tf.ops.step_search import SortedValues, best_step_size


def _tensors():
    rng = np.random.default_rng(0)
    return {
        "normal": rng.normal(size=600),
        "uniform": rng.uniform(-1, 1, 600),
        "laplace": rng.laplace(size=600),
        "heavy_tailed": rng.standard_t(2, 600),
        "kure_like": rng.uniform(-1, 1, 600) + rng.normal(0, 0.03, 600),
        "constant": np.full(50, 0.3),
        "few_valued": rng.choice([-0.5, 0.0, 0.1, 0.37, 1.0], 600),
        "ternary": rng.choice([-0.7, 0.0, 0.7], 500),
        "whole_numbers": rng.choice([-2.0, -1.0, 0.0, 1.0, 2.0], 500),
        "nine_weights": rng.normal(size=9),  # A depthwise channel.
        "many_weights": rng.standard_t(3, 30_000),
    }


TENSORS = _tensors()


def _errors(x, step_sizes, levels, offset, p):
    """Brute force in float64: one pass over all values per step size."""
    x = x.astype(np.float32).astype(np.float64)
    errors = []
    for step_size in step_sizes:
        codes = np.clip(np.round(x / step_size - offset), *levels)
        errors.append(np.mean(np.abs(x - (codes + offset) * step_size) ** p))
    return np.array(errors)


def _problem(x, name, bits):
    grid = GRIDS[name]
    levels = grid.levels(bits)
    return levels, grid.offset, np.abs(x).max() / grid.extent(bits)


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
            _errors(x, [step], levels, 0.0, 2)[0],
            1.001
            * _errors(x, largest * self.DENSE[::20], levels, 0.0, 2).min(),
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
        levels, offset, largest = _problem(x, grid, bits)
        # Brute force is slow on large tensors: fewer steps there.
        dense = largest * self.DENSE[:: 1 if x.size <= 1000 else 20]

        step_size = best_step_size(x, largest, levels, offset, p)

        best = _errors(x, dense, levels, offset, p).min()
        error = _errors(x, [step_size], levels, offset, p)[0]
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
        levels, offset, largest = _problem(quantiles, "equation1", bits)

        step_size = best_step_size(quantiles, largest, levels, offset)

        # The minimum is flat: the step has fewer digits than the error.
        self.assertAllClose(step_size * grid.extent(bits), tau, rtol=0.01)
        error = mean_squared_error(
            SortedValues(quantiles), np.array([step_size]), levels
        )
        self.assertAllClose(error, [mse], rtol=1e-3)

    def test_scaling_a_tensor_scales_its_step(self):
        x = TENSORS["normal"]
        levels, _, largest = _problem(x, "narrow", 4)

        step_size = best_step_size(x, largest, levels)

        self.assertAllClose(
            best_step_size(x * 1024, largest * 1024, levels),
            step_size * 1024,
            rtol=1e-6,
        )


class SortedValuesTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        tensor=tuple(TENSORS),
        case=(("narrow", 2), ("narrow", 8), ("reference", 3), ("full", 4)),
    )
    def test_mean_squared_error_equals_brute_force(self, tensor, case):
        x = TENSORS[tensor]
        levels, offset, largest = _problem(x, *case)
        step_sizes = largest * np.array([1.7, 1.0, 0.61, 0.2, 0.03])

        errors = mean_squared_error(SortedValues(x), step_sizes, levels, offset)

        self.assertAllClose(
            errors,
            _errors(x, step_sizes, levels, offset, 2),
            rtol=1e-5,
            atol=1e-9 * np.mean(np.square(x)),
        )

    @parameterized.product(tensor=tuple(TENSORS), p=(1, 2, 2.5, 4))
    def test_mean_error_equals_brute_force(self, tensor, p):
        x = TENSORS[tensor]
        levels, offset, largest = _problem(x, "narrow", 4)
        step_sizes = largest * np.array([1.0, 0.61, 0.2])

        errors = SortedValues(x).mean_error(step_sizes, levels, offset, p)

        # Beyond 2^14 values, quantiles stand for all.
        rtol = 1e-5 if x.size <= 1 << 14 else 2e-3
        self.assertAllClose(
            errors,
            _errors(x, step_sizes, levels, offset, p),
            rtol=rtol,
            atol=1e-9 * np.mean(np.abs(x) ** p),
        )


if __name__ == "__main__":
    tf.test.main()
