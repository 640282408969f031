import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from hypothesis import given
from hypothesis import strategies as st

from kure_tf.ops.power_of_two import power_of_two


class PowerOfTwoTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(
        (1.0, 1.0, 1.0),
        (1.4, 1.0, 2.0),  # Half-way is the square root of 2, 1.414...
        (1.42, 2.0, 2.0),
        (0.75, 1.0, 1.0),
        (0.7, 0.5, 1.0),
        (0.25, 0.25, 0.25),
        (0.2501, 0.25, 0.5),
    )
    def test_by_hand(self, step, nearest, up):
        self.assertEqual(power_of_two(step, "nearest"), nearest)
        self.assertEqual(power_of_two(step, "up"), up)

    @given(st.floats(1e-20, 1e20))
    def test_distances(self, step):
        nearest = power_of_two(step, "nearest")
        up = power_of_two(step, "up")
        for power in (nearest, up):
            self.assertEqual(np.frexp(power)[0], 0.5)  # 0.5 * 2^exponent.
        self.assertBetween(nearest / step, 2**-0.5 - 1e-9, 2**0.5 + 1e-9)
        self.assertBetween(up / step, 1 - 1e-8, 2)

    def test_a_rounding_of_float64_does_not_double_a_power_of_two(self):
        step = (0.1 + 0.2) / 0.3 * 0.25
        self.assertGreater(step, 0.25)
        self.assertEqual(power_of_two(step, "up"), 0.25)

    def test_arrays_keep_their_shape(self):
        found = power_of_two(np.float32([[0.3, 0.6]]), "up")
        self.assertAllEqual(found, [[0.5, 1.0]])
        self.assertEqual(found.dtype, np.float64)

    def test_an_unknown_rounding_is_refused(self):
        with self.assertRaisesRegex(ValueError, "'nearest', 'up'.*'down'"):
            power_of_two(0.3, "down")


if __name__ == "__main__":
    tf.test.main()
