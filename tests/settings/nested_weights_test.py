"""Tests for settings/nested_weights.py."""

import numpy as np
from absl.testing import absltest, parameterized

from kure_tf.settings import NestedWeights
from kure_tf.settings.nested_weights import nested_point

CODES = np.arange(-127, 128, dtype=np.int8).reshape(15, 17)
STEP = np.float32(0.25)


def _value(code, bits, reading):
    """What a code stands for, worked out in whole numbers of 8-bit steps."""
    unit = 2 ** (8 - bits)
    if reading == "even":
        top = 2 ** (bits - 1) - 1
        # Python's round() of a fraction goes to the even neighbour at a tie.
        return unit * min(max(round(code / unit), -top), top)
    below = code // unit * unit
    middle = reading == "middle" and bits < 8
    return below + unit / 2 if middle else below


class NestedWeightsTest(parameterized.TestCase):
    @parameterized.product(
        bits=[*range(2, 9)], reading=("even", "middle", "truncate")
    )
    def test_each_code_stands_for_its_coarse_reading(self, bits, reading):
        nested = NestedWeights({"a/kernel": CODES}, {"a/kernel": STEP}, reading)
        found = nested.at(bits)
        step = found.step_sizes.tensors["a/kernel"]
        expected = [_value(int(code), bits, reading) for code in CODES.flat]
        np.testing.assert_array_equal(
            found.codes["a/kernel"].ravel() * step.step_size,
            np.array(expected) * STEP,
        )

    @parameterized.product(
        bits=[*range(2, 9)], reading=("even", "middle", "truncate")
    )
    def test_codes_lie_on_the_grid_of_their_point(self, bits, reading):
        nested = NestedWeights({"a/kernel": CODES}, {"a/kernel": STEP}, reading)
        point = nested_point(bits, 8, reading)
        codes = nested.at(bits).codes["a/kernel"]
        top = 2 ** (point.weight_bits - 1) - 1
        self.assertLessEqual(codes.max(), top)
        self.assertGreaterEqual(codes.min(), -top - (point.grid == "full"))

    def test_pinned_kernels_are_read_as_they_are(self):
        nested = NestedWeights(
            {"a/kernel": CODES}, {"a/kernel": STEP}, pinned={"a/kernel": 8}
        )
        found = nested.at(2)
        np.testing.assert_array_equal(found.codes["a/kernel"], CODES)
        self.assertEqual(found.step_sizes.tensors["a/kernel"].bits, 8)

    def test_bits_that_no_code_has_are_refused(self):
        nested = NestedWeights({"a/kernel": CODES}, {"a/kernel": STEP})
        for bits in (1, 9):
            with self.assertRaisesRegex(ValueError, "bits"):
                nested.at(bits)

    def test_biases_of_another_width_are_refused(self):
        nested = NestedWeights({}, {}, bias_corrections={8: object()})
        with self.assertRaisesRegex(ValueError, r"\[8\]. Received: 4"):
            nested.bias_correction_at(4)

    def test_an_unknown_reading_is_refused(self):
        with self.assertRaisesRegex(ValueError, "a reading"):
            NestedWeights({}, {}, "upwards")


if __name__ == "__main__":
    absltest.main()
