from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf.ops import sums
from kure_tf.ops.fake_quantize import switched_fake_quantize
from kure_tf.ops.grid import GRIDS
from kure_tf.ops.rounding import (
    FLOOR,
    HALF_UP,
    NEAREST,
    SEEDS,
    STOCHASTIC,
    round_by_mode,
    rounding_code,
)

SHAPES = {"per_tensor": (), "per_channel": (1, 1, 1, 4)}
NUMPY = {
    NEAREST: np.round,
    HALF_UP: lambda v: np.floor(v + 0.5),
    FLOOR: np.floor,
}


def _quantize(x, step_size, levels, mode, index=1, fused="symmetric"):
    return switched_fake_quantize(
        x,
        step_size,
        levels,
        kernels=(fused,),
        index=tf.constant(index),
        rounding_mode=tf.constant(mode),
    )


def _values(step_size, seed=0):
    """Values up to beyond the clip, and away from where float32 may flip."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(-9, 9, (3, 3, 3, 4)) + rng.uniform(0.01, 0.49, 4)
    codes += 0.5 * rng.integers(0, 2, codes.shape)
    return (codes * step_size).astype(np.float32)


class RoundingTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(mode=tuple(NUMPY), granularity=tuple(SHAPES))
    def test_equals_numpy_in_float64(self, mode, granularity):
        rng = np.random.default_rng(1)
        step_size = rng.uniform(0.05, 0.4, SHAPES[granularity])
        step_size = np.asarray(step_size, np.float32)
        x = _values(step_size)

        y = _quantize(x, step_size, (-7.0, 7.0), mode)

        v = np.clip(x.astype(np.float64) / step_size, -7, 7)
        self.assertAllClose(y, step_size * NUMPY[mode](v), rtol=1e-5)

    def test_the_index_after_the_kernels_takes_any_levels(self):
        x = tf.constant([-2.6, -2.1, -1.6, -0.125, 0.125, 0.4, 1.7, 1.9])

        with tf.GradientTape() as tape:
            tape.watch(x)
            y = _quantize(x, 0.25, (-8.0, 7.0), NEAREST, index=2)

        self.assertAllEqual(y, [-2, -2, -1.5, 0, 0, 0.5, 1.75, 1.75])
        inside = [0, 0, 1, 1, 1, 1, 1, 0]
        self.assertAllEqual(tape.gradient(y, x), inside)

    @parameterized.product(
        mode=(NEAREST, HALF_UP, STOCHASTIC + 5),
        index=(0, 1),
        dtype=("float32", "bfloat16"),
        steps=((1, 4), (33, 1)),
    )
    def test_gradients_in_parts_are_those_of_the_whole(
        self, mode, index, dtype, steps
    ):
        rng = np.random.default_rng(2)
        step_size = rng.uniform(0.05, 0.4, steps).astype(np.float32)
        sources = [
            tf.cast(rng.normal(size=(33, 4)), dtype),
            tf.constant(step_size),
        ]

        @tf.function
        def gradients():
            with tf.GradientTape() as tape:
                tape.watch(sources)
                y = _quantize(*sources, (-7.0, 7.0), mode, index)
            return y, *tape.gradient(y, sources)

        y, *whole = gradients()
        with mock.patch.object(sums, "_LARGE", 64):
            in_parts = tf.function(gradients.python_function)()

        self.assertAllEqual(in_parts[0], y)
        self.assertAllEqual(in_parts[1], whole[0])
        self.assertAllClose(in_parts[2], whole[1], rtol=1e-4, atol=1e-3)

    def test_one_trace_serves_all_modes_and_float(self):
        mode, index = tf.Variable(NEAREST), tf.Variable(1)
        traces = []

        @tf.function
        def quantize(x):
            traces.append(1)
            return switched_fake_quantize(
                x,
                1.0,
                (-7.0, 7.0),
                kernels=("symmetric",),
                index=tf.convert_to_tensor(index),
                rounding_mode=mode,
            )

        x = tf.constant([-1.5, 0.5, 2.5, 9.0, -9.0])
        for code, expected in (
            (NEAREST, [-2.0, 0.0, 2.0, 7.0, -7.0]),
            (HALF_UP, [-1.0, 1.0, 3.0, 7.0, -7.0]),
            (FLOOR, [-2.0, 0.0, 2.0, 7.0, -7.0]),
        ):
            mode.assign(code)
            self.assertAllEqual(quantize(x), expected)
        index.assign(0)
        self.assertAllEqual(quantize(x), x)
        self.assertLen(traces, 1)

    def test_halves_are_found_where_adding_one_half_errs(self):
        just_below = np.float32(0.49999997)
        self.assertEqual(np.floor(just_below + np.float32(0.5)), 1.0)

        y = round_by_mode([just_below, 0.5, -0.5], HALF_UP)

        self.assertAllEqual(y, [0.0, 1.0, 0.0])

    def test_what_lies_on_the_grid_stays_when_rounded_down(self):
        for step_size in np.random.default_rng(0).uniform(0.01, 1, 50):
            step_size = np.float32(step_size)
            x = np.arange(-7, 8, dtype=np.float32) * step_size
            y = _quantize(x, step_size, (-7.0, 7.0), FLOOR)
            self.assertAllClose(y, x, rtol=1e-6)

    def test_stochastic_rounding_is_unbiased(self):
        v = np.float32([-2.9, -0.25, 0.0, 0.1, 1.0, 3.7, 6.95])
        draws = 40_000
        y = round_by_mode(np.tile(v, (draws, 1)), STOCHASTIC + 5).numpy()

        fraction = v - np.floor(v)
        error = np.sqrt(fraction * (1 - fraction) / draws)
        self.assertAllInSet(y - np.floor(v), [0.0, 1.0])
        self.assertTrue(np.all(np.abs(y.mean(0) - v) <= 5 * error + 1e-6))

    @parameterized.parameters(False, True)
    def test_a_seed_draws_what_tensorflow_draws_under_xla_too(self, jit):
        """Up where the fraction is at least 1 - u: u as `tf.random` has it."""
        v = np.linspace(-3, 3, 999).astype(np.float32)
        drawn = np.asarray(tf.random.stateless_uniform([999], [0, 7]))
        expected = np.floor(v) + (v - np.floor(v) >= 1 - drawn)

        rounded = tf.function(round_by_mode, jit_compile=jit)

        self.assertAllEqual(rounded(v, STOCHASTIC + 7), expected)

    def test_a_seed_repeats_its_draw_and_another_does_not(self):
        v = np.random.default_rng(0).uniform(-7, 7, 1000).astype(np.float32)
        first, again, other = (
            round_by_mode(v, STOCHASTIC + seed).numpy() for seed in (1, 1, 2)
        )
        self.assertAllEqual(first, again)
        self.assertGreater(np.mean(first != other), 0.2)

    @parameterized.parameters(HALF_UP, FLOOR, STOCHASTIC, STOCHASTIC + 9)
    def test_results_stay_inside_the_levels(self, mode):
        x = np.float32([np.inf, -np.inf, 1e30, 15.999999, 65535.0, -65535.0])
        low, high = map(float, GRIDS["unsigned"].levels(16.0))

        y = _quantize(x, 1.0, (low, high), mode, fused="unsigned")

        self.assertTrue(np.all((y >= low) & (y <= high)))
        self.assertAllEqual(y, np.round(y))

    @parameterized.parameters(tf.float32, tf.bfloat16)
    def test_gradient_is_straight_through_in_every_mode(self, dtype):
        x = tf.constant([0.2, -0.7, 1.4, 1.6, -9.0], dtype)
        for mode, codes in ((HALF_UP, [0, -1, 3]), (FLOOR, [0, -2, 2])):
            step_size = tf.constant(0.5)
            with tf.GradientTape() as tape:
                tape.watch([x, step_size])
                y = _quantize(x, step_size, (-3.0, 3.0), mode)
            to_x, to_step = tape.gradient(y, [x, step_size])

            v = tf.cast(x, tf.float32).numpy()[:3] / 0.5
            self.assertAllEqual(tf.cast(to_x, tf.float32), [1, 1, 1, 0, 0])
            slope = np.sum(np.array(codes) - v) + 3 - 3  # LSQ, Eq. 3.
            self.assertAllClose(to_step, slope, atol=1e-4)

    def test_codes_tell_seeds_and_tensors_apart_exactly(self):
        codes = {
            rounding_code(f"stochastic:{seed}", path)
            for seed in range(20)
            for path in ("a/kernel", "a/input", "b/kernel")
        }
        self.assertLen({np.float32(code) for code in codes}, 60)
        self.assertLess(max(codes), STOCHASTIC + SEEDS)
        self.assertEqual(rounding_code("floor", "a"), FLOOR)


if __name__ == "__main__":
    tf.test.main()
