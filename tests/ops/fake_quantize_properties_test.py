"""What holds for any values, step size and bit-width."""

import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from kure_tf.ops import GRIDS, fake_quantize

BITS = st.integers(2, 8)
STEPS = st.floats(2.0**-10, 2.0**10, width=32)
VALUES = st.lists(
    st.floats(-(2.0**17), 2.0**17, width=32), min_size=1, max_size=40
)


def _fused_as_promised(grid):
    return grid.fused if not grid.adaptive else None


class FakeQuantizePropertiesTest(tf.test.TestCase):
    def _quantize(self, grid, x, step_size, bits, lowest=-2.0):
        levels = grid.levels(float(bits), lowest)
        origin = grid.offset * step_size
        y = fake_quantize(
            np.float32(x),
            np.float32(step_size),
            levels,
            origin,
            fused=_fused_as_promised(grid),
        )
        return y.numpy().astype(np.float64), tuple(map(float, levels))

    @given(st.sampled_from(sorted(GRIDS)), VALUES, STEPS, BITS)
    def test_idempotent(self, name, x, step_size, bits):
        grid = GRIDS[name]
        once, _ = self._quantize(grid, x, step_size, bits)
        twice, _ = self._quantize(grid, once, step_size, bits)

        np.testing.assert_allclose(twice, once, rtol=1e-5)

    @given(st.sampled_from(sorted(GRIDS)), VALUES, STEPS, BITS)
    def test_monotone(self, name, x, step_size, bits):
        y, _ = self._quantize(GRIDS[name], np.sort(x), step_size, bits)

        self.assertTrue(np.all(np.diff(y) >= -1e-5 * step_size * 2**bits))

    @given(st.sampled_from(sorted(GRIDS)), VALUES, STEPS, BITS)
    def test_at_most_two_to_the_bits_levels(self, name, x, step_size, bits):
        grid = GRIDS[name]
        x = [*x, *(np.arange(-300, 301) * step_size)]

        y, _ = self._quantize(grid, x, step_size, bits)

        codes = y / np.float32(step_size) - grid.offset
        np.testing.assert_allclose(codes, np.round(codes), atol=1e-3)
        extra = 1 if name == "equation1" else 0  # As Eq. 1 has it.
        self.assertLessEqual(np.unique(np.round(codes)).size, 2**bits + extra)

    @given(st.sampled_from(["narrow", "equation1"]), VALUES, STEPS, BITS)
    def test_symmetric_grids_are_odd(self, name, x, step_size, bits):
        grid = GRIDS[name]
        y, _ = self._quantize(grid, x, step_size, bits)
        mirrored, _ = self._quantize(grid, -np.float32(x), step_size, bits)

        np.testing.assert_array_equal(mirrored, -y)

    @given(st.sampled_from(sorted(GRIDS)), VALUES, STEPS, BITS)
    def test_error_inside_the_range_is_at_most_half_a_step(
        self, name, x, step_size, bits
    ):
        grid = GRIDS[name]
        x = np.float64(np.float32(x))
        step_size = float(np.float32(step_size))

        y, (low, high) = self._quantize(grid, x, step_size, bits)

        v = x / step_size - grid.offset
        inside = (v >= low - 0.5) & (v <= high + 0.5)
        error = np.abs(y - x)[inside]
        self.assertTrue(np.all(error <= step_size * (0.5 + 1e-4)))

    @given(VALUES, STEPS, BITS)
    def test_per_channel_is_per_tensor_channel_by_channel(
        self, x, step_size, bits
    ):
        x = np.float32(x)[:, None] * np.float32([1.0, -0.5, 0.1])
        steps = np.float32(step_size) * np.float32([1.0, 0.3, 2.0])
        levels = GRIDS["narrow"].levels(bits)

        together = fake_quantize(x, steps, levels, fused="symmetric")

        for channel in range(3):
            alone = fake_quantize(
                x[:, channel], steps[channel], levels, fused="symmetric"
            )
            self.assertAllEqual(together[:, channel], alone)


if __name__ == "__main__":
    tf.test.main()
