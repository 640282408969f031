from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf.ops import GRIDS, fake_quantize, sums

# (grid, smallest calibrated value in steps, the `fused` promises it keeps)
CASES = (
    ("narrow", 0.0, (None, "symmetric")),
    ("full", 0.0, (None,)),
    ("unsigned", 0.0, (None, "unsigned")),
    ("signed_or_unsigned", 0.0, (None, "unsigned")),
    ("signed_or_unsigned", -3.0, (None, "symmetric")),
    ("asymmetric", -1.7, (None,)),
    ("asymmetric", 0.0, (None, "unsigned")),
    ("reference", 0.0, (None,)),
    ("equation1", 0.0, (None,)),
)
PROMISES = [
    (name, lowest, fused)
    for name, lowest, promises in CASES
    for fused in promises
]
CHANNELS = {
    "per_tensor": (),
    "conv": (1, 1, 1, 4),
    "depthwise": (1, 1, 3, 4),
    "transposed": (1, 1, 3, 1),
}


def _levels(name, bits, lowest):
    levels = GRIDS[name].levels(float(bits), lowest)
    return tuple(float(level) for level in levels)


def _reference(x, step_size, levels, origin=0.0):
    """The docstring's formula in float64."""
    x, step_size, origin = (
        np.asarray(value, np.float64) for value in (x, step_size, origin)
    )
    v = (x - origin) / step_size
    return origin + step_size * np.round(np.clip(v, *levels))


def _away_from_ties(x, step_size, origin):
    """Replaces values that float32 may round either way."""
    v = (x.astype(np.float64) - origin) / step_size
    tie = np.abs(v - np.floor(v) - 0.5) < 1e-3
    return np.where(tie, np.float32(0.0) + origin, x).astype(np.float32)


def _values(size, step_size, levels, origin=0.0, seed=0):
    reach = 1.5 * max(abs(levels[0]), abs(levels[1]), 1) * np.max(step_size)
    x = np.random.default_rng(seed).uniform(-reach, reach, size)
    return _away_from_ties(x.astype(np.float32), step_size, origin)


class FakeQuantizeTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        case=PROMISES, bits=tuple(range(2, 9)), granularity=tuple(CHANNELS)
    )
    def test_equals_numpy_in_float64(self, case, bits, granularity):
        name, lowest, fused = case
        levels = _levels(name, bits, lowest)
        rng = np.random.default_rng(bits)
        step_size = rng.uniform(0.05, 0.4, CHANNELS[granularity])
        step_size = step_size.astype(np.float32)
        origin = GRIDS[name].offset * step_size
        x = _values((3, 3, 3, 4), step_size, levels, origin)

        y = fake_quantize(x, step_size, levels, origin, fused=fused)

        self.assertEqual(y.dtype, tf.float32)
        self.assertAllClose(
            y, _reference(x, step_size, levels, origin), rtol=1e-5, atol=1e-6
        )

    @parameterized.product(
        case=[c for c in PROMISES if c[2]], bits=(2, 3, 5, 8, 12, 16)
    )
    def test_fused_and_not_fused_give_equal_codes(self, case, bits):
        name, lowest, fused = case
        levels = _levels(name, bits, lowest)
        x = _values(20_000, 0.13, levels)

        codes = [
            np.round(fake_quantize(x, 0.13, levels, fused=kind) / 0.13)
            for kind in (None, fused)
        ]

        self.assertAllEqual(*codes)

    @parameterized.named_parameters(("one_kernel", "symmetric"), ("any", None))
    def test_halves_go_to_the_even_neighbour(self, fused):
        x = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]

        y = fake_quantize(x, 1.0, (-7.0, 7.0), fused=fused)

        self.assertAllEqual(y, [-2.0, -2.0, 0.0, 0.0, 2.0, 2.0])

    def test_mid_rise_grid_has_no_zero(self):
        grid = GRIDS["reference"]

        y = fake_quantize(
            [-9.0, -0.1, 0.1, 0.9, 9.0], 1.0, grid.levels(2), grid.offset
        )

        self.assertAllClose(y, [-1.5, -0.5, 0.5, 0.5, 1.5])

    @parameterized.named_parameters(("2_bits", 2), ("4_bits", 4), ("8_bits", 8))
    def test_error_inside_the_grid_is_step_squared_over_twelve(self, bits):
        """Rounding error is uniform on [-step/2, step/2] (Eq. A.10)."""
        step_size = 0.3
        low, high = GRIDS["narrow"].levels(bits)
        x = (
            np.random.default_rng(0)
            .uniform((low - 0.5) * step_size, (high + 0.5) * step_size, 200_000)
            .astype(np.float32)
        )

        error = fake_quantize(x, step_size, (low, high)) - x

        self.assertAllClose(
            tf.reduce_mean(tf.square(error)), step_size**2 / 12, rtol=0.01
        )

    def test_changing_the_bit_width_does_not_retrace(self):
        bits = tf.Variable(8.0)
        traces = []

        @tf.function
        def quantize(x):
            traces.append(1)  # Runs once per trace, not once per call.
            return fake_quantize(
                x, 0.1, GRIDS["narrow"].levels(bits), fused="symmetric"
            )

        for bits_now, largest in [(8.0, 12.7), (4.0, 0.7), (2.0, 0.1)]:
            bits.assign(bits_now)
            self.assertAllClose(quantize(tf.constant(100.0)), largest)
        self.assertLen(traces, 1)

    @parameterized.product(
        dtype=(tf.float16, tf.bfloat16, tf.float32, tf.float64),
        fused=(None, "symmetric"),
    )
    def test_keeps_the_dtype(self, dtype, fused):
        x = tf.constant([0.2, -0.3, 9.0], dtype)

        y = fake_quantize(x, 0.25, (-3.0, 3.0), fused=fused)

        self.assertEqual(y.dtype, dtype)
        self.assertAllEqual(tf.cast(y, tf.float32), [0.25, -0.25, 0.75])

    @parameterized.named_parameters(("any", None), ("one_kernel", "symmetric"))
    def test_infinities_are_clipped_and_nan_stays(self, fused):
        x = [np.nan, np.inf, -np.inf]

        y = fake_quantize(x, 0.1, (-3.0, 3.0), fused=fused)

        self.assertTrue(np.isnan(y[0]))
        self.assertAllClose(y[1:], [0.3, -0.3])

        steps = np.float32([0.1, 0.2, 0.1])  # One for each value.
        y = fake_quantize(x, steps, (-3.0, 3.0), fused=fused)

        self.assertTrue(np.isnan(y[0]))
        self.assertAllClose(y[1:], [0.6, -0.3])

    def test_one_channel_and_scalars_and_empty_tensors_work(self):
        levels = (-7.0, 7.0)
        x = np.float32([[0.14], [0.26]])

        self.assertAllClose(
            fake_quantize(x, np.float32([[0.1]]), levels), [[0.1], [0.3]]
        )
        self.assertAllClose(fake_quantize(0.14, 0.1, levels), 0.1)
        self.assertEqual(
            fake_quantize(tf.zeros([0, 3]), 0.1, levels).shape, (0, 3)
        )

    def test_integers_are_refused(self):
        with self.assertRaisesRegex(TypeError, "floating-point.*int32.*Cast"):
            fake_quantize(tf.constant([1, 2]), 0.1, (-7.0, 7.0))

    def test_step_sizes_may_vary_along_axes_that_are_no_neighbours(self):
        x = np.random.default_rng(0).normal(size=[2, 5, 3]).astype(np.float32)
        step_size = np.float32([[[0.1, 0.2, 0.3]], [[0.4, 0.5, 0.6]]])

        y = fake_quantize(x, step_size, (-7.0, 7.0), fused="symmetric")

        self.assertAllClose(y, _reference(x, step_size, (-7.0, 7.0)))


def _lsq(x, step_size, levels, origin=0.0):
    """Esser et al. 2020, Eq. 3 and 5: (dy/dx, dy/dstep, dy/dorigin)."""
    low, high = levels
    v = (x.astype(np.float64) - origin) / step_size
    below, above = v <= low, v >= high
    inside = ~(below | above)
    to_step = np.where(inside, np.round(v) - v, np.where(below, low, high))
    return inside.astype(float), to_step, (~inside).astype(float)


def _sum_to(shape, values):
    if not shape:
        return np.sum(values)
    axes = tuple(axis for axis, size in enumerate(shape) if size == 1)
    return np.sum(values, axes, keepdims=True)


class FakeQuantizeGradientTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        case=PROMISES, bits=(2, 4, 8), granularity=tuple(CHANNELS)
    )
    def test_is_that_of_lsq(self, case, bits, granularity):
        name, lowest, fused = case
        levels = _levels(name, bits, lowest)
        rng = np.random.default_rng(bits)
        shape = CHANNELS[granularity]
        step_size = rng.uniform(0.05, 0.4, shape).astype(np.float32)
        origin = (GRIDS[name].offset * step_size).astype(np.float32)
        x = _values((3, 3, 3, 4), step_size, levels, origin)
        upstream = rng.normal(size=x.shape).astype(np.float32)

        sources = [tf.constant(value) for value in (x, step_size, origin)]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            y = fake_quantize(*sources[:2], levels, sources[2], fused=fused)
        gradients = tape.gradient(y, sources, tf.constant(upstream))

        to_x, to_step, to_origin = _lsq(x, step_size, levels, origin)
        self.assertAllClose(gradients[0], upstream * to_x, rtol=1e-6)
        self.assertEqual(gradients[1].shape, step_size.shape)
        # Rounding of x / step_size at code 127 is what limits the digits.
        self.assertAllClose(
            gradients[1],
            _sum_to(shape, upstream * to_step),
            rtol=1e-3,
            atol=1e-3,
        )
        self.assertAllClose(
            gradients[2], _sum_to(shape, upstream * to_origin), atol=1e-4
        )

    @parameterized.product(fused=(None, "symmetric"))
    def test_interior_edge_and_clipped_points(self, fused):
        # Step 0.5 on -3..3: exact in binary, so that the edge is met.
        x = tf.constant([0.0, 0.2, -0.7, 1.4, 1.5, -1.5, 1.6, -9.0])
        step_size = tf.constant(0.5)
        by_point = tf.broadcast_to(step_size, x.shape)
        with tf.GradientTape() as tape:
            tape.watch([x, by_point])
            y = fake_quantize(x, by_point, (-3.0, 3.0), fused=fused)

        to_x, to_step = tape.gradient(y, [x, by_point])

        self.assertAllEqual(to_x, [1, 1, 1, 1, 0, 0, 0, 0])
        self.assertAllClose(
            to_step, [0.0, -0.4, 0.4, 0.2, 3.0, -3.0, 3.0, -3.0], atol=1e-6
        )

    def test_highest_level_of_any_step_size_is_clipped(self):
        """So is 0 of unsigned grids; a millionth inside, nothing is."""
        rng = np.random.default_rng(0)
        steps = np.exp(rng.uniform(-20, 20, 10_000)).astype(np.float32)
        highest = np.float32(15) * steps
        inside = np.float32(1 - 1e-6) * highest
        x = tf.constant(np.stack([0 * steps, highest * 1e-6, inside, highest]))
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = fake_quantize(x, steps, (0.0, 15.0), fused="unsigned")
        expected = np.float32([[0], [1], [1], [0]]) * np.ones_like(steps)
        self.assertAllEqual(tape.gradient(y, x), expected)

    @parameterized.product(fused=(None, "symmetric"))
    def test_both_ends_of_any_step_size_are_clipped(self, fused):
        """Two millionths inside, nothing is."""
        rng = np.random.default_rng(0)
        steps = np.exp(rng.uniform(-20, 20, 10_000)).astype(np.float32)
        highest = np.float32(7) * steps
        inside = np.float32(1 - 2e-6) * highest
        x = tf.constant(np.stack([-highest, -inside, inside, highest]))
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = fake_quantize(x, steps, (-7.0, 7.0), fused=fused)
        expected = np.float32([[0], [1], [1], [0]]) * np.ones_like(steps)
        self.assertAllEqual(tape.gradient(y, x), expected)

    @parameterized.product(shape=(*CHANNELS.values(), (17, 1, 1, 1)))
    def test_the_sums_of_large_tensors_are_taken_in_parts(self, shape):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(17, 3, 3, 4)).astype(np.float32)
        step_size = rng.uniform(0.1, 0.4, shape).astype(np.float32)
        upstream = rng.normal(size=x.shape).astype(np.float32)
        sources = [tf.constant(x), tf.constant(step_size)]

        @tf.function
        def gradients():
            with tf.GradientTape() as tape:
                tape.watch(sources)
                y = fake_quantize(*sources, (-3.0, 3.0), fused="symmetric")
            return tape.gradient(y, sources, tf.constant(upstream))

        with mock.patch.object(sums, "_LARGE", 64):
            to_x, to_step = gradients()

        by_x, by_step, _ = _lsq(x, step_size, (-3.0, 3.0))
        self.assertAllClose(to_x, upstream * by_x)
        expected = _sum_to(shape, upstream * by_step)
        self.assertAllClose(to_step, expected, rtol=1e-4, atol=1e-4)

    @parameterized.named_parameters(("processors", True), ("others", False))
    def test_sums_of_millions_of_values_keep_their_digits(self, processors):
        """They are subtracted, and little of them is left."""
        rng = np.random.default_rng(0)
        x = np.abs(rng.normal(size=(1 << 20,))).astype(np.float32)
        upstream = rng.normal(size=x.shape).astype(np.float32)
        x = _away_from_ties(x, np.float32(0.25), 0.0)
        step_size = tf.Variable(0.25)
        with (
            mock.patch.object(sums, "_on_processors_only", lambda: processors),
            tf.GradientTape() as tape,
        ):
            y = fake_quantize(x, step_size, (0.0, 15.0), fused="unsigned")
            to_step = tape.gradient(y, step_size, tf.constant(upstream))

        expected = np.sum(upstream * _lsq(x, 0.25, (0.0, 15.0))[1])
        self.assertAllClose(to_step, expected, rtol=1e-3)

    def test_half_precision_sums_the_step_gradient_in_float32(self):
        x = tf.cast(tf.fill([5000], 10.0), tf.bfloat16)
        step_size = tf.Variable(0.5)
        with tf.GradientTape() as tape:
            y = fake_quantize(x, step_size, (-3.0, 3.0))
            total = tf.reduce_sum(tf.cast(y, tf.float32))

        # bfloat16 stops counting by threes at 768.
        self.assertAllClose(tape.gradient(total, step_size), 15_000.0)

    @parameterized.product(fused=(None, "symmetric"))
    def test_flows_through_a_function(self, fused):
        step_size = tf.Variable([0.1, 0.2])

        @tf.function
        def gradient(x):
            with tf.GradientTape() as tape:
                y = fake_quantize(x, step_size, (-3.0, 3.0), fused=fused)
            return tape.gradient(y, step_size)

        self.assertAllClose(gradient(tf.constant([[9.0, -9.0]])), [3.0, -3.0])


if __name__ == "__main__":
    tf.test.main()
