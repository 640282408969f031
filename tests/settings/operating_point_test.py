import dataclasses
import math

import numpy as np
import pytest
from absl.testing import absltest, parameterized
from hypothesis import given
from hypothesis import strategies as st

from kure_tf import OperatingPoint
from kure_tf.settings.operating_point import check_bits

pytestmark = pytest.mark.one_keras

WRITTEN = (
    ("FP/FP", OperatingPoint()),
    ("4/8", OperatingPoint(4, 8)),
    ("4/FP", OperatingPoint(4)),
    ("FP/8", OperatingPoint(None, 8)),
    ("16/1", OperatingPoint(16, 1)),
    ("4/4 x1.02", OperatingPoint(4, 4, step_scale=1.02)),
    ("3/FP pow2", OperatingPoint(3, step_rounding="nearest")),
    ("3/FP pow2-up", OperatingPoint(3, step_rounding="up")),
    ("4/8 x0.7 pow2", OperatingPoint(4, 8, step_scale=0.7,
                                     step_rounding="nearest")),
    ("4/4 x1.02/1.1", OperatingPoint(4, 4, step_scale=1.02,
                                     activation_step_scale=1.1)),
    ("4/4 x1/1.1", OperatingPoint(4, 4, activation_step_scale=1.1)),
    ("4/FP floor", OperatingPoint(4, rounding_mode="floor")),
    ("4/4 half-up", OperatingPoint(4, 4, rounding_mode="half_up")),
    ("4/FP stochastic:3", OperatingPoint(4, rounding_mode="stochastic:3")),
    ("4/8 full", OperatingPoint(4, 8, grid="full")),
    ("3/3 x0.9/2 pow2-up floor full", OperatingPoint(
        3, 3, step_scale=0.9, activation_step_scale=2, step_rounding="up",
        rounding_mode="floor", grid="full")),
)  # fmt: skip

BITS = st.none() | st.integers(1, 16)
POINTS = st.builds(
    OperatingPoint,
    BITS,
    BITS,
    step_scale=st.floats(1e-6, 1e6),
    step_rounding=st.sampled_from([None, "nearest", "up"]),
    activation_step_scale=st.floats(1e-6, 1e6),
    rounding_mode=st.sampled_from(["nearest", "half_up", "floor"])
    | st.integers(0, 2**31 - 1).map("stochastic:{}".format),
    grid=st.sampled_from(["narrow", "full"]),
)


class OperatingPointTest(parameterized.TestCase):
    @parameterized.parameters(*WRITTEN)
    def test_is_written_and_read(self, text, point):
        self.assertEqual(str(point), text)
        self.assertEqual(OperatingPoint.parse(text), point)

    @given(POINTS)
    def test_reading_what_was_written_gives_the_same_point(self, point):
        self.assertEqual(OperatingPoint.parse(str(point)), point)

    @parameterized.parameters(
        "  4/8 ",
        "4 / 8",
        "4/8 x1",
        "4/8 X1.0",
        "4/8  x1e0",
        "4/8 NARROW",
        "W4A8",
        "w4/a8",
        "W4 A8 x1",
    )
    def test_reading_is_lenient_about_spaces_and_case(self, text):
        self.assertEqual(OperatingPoint.parse(text), OperatingPoint(4, 8))
        self.assertEqual(
            OperatingPoint.parse("fp/Fp POW2"),
            OperatingPoint(step_rounding="nearest"),
        )

    @parameterized.parameters(
        "4-8", "", "4", "4/", "/8", "4/8/8", "4/8x1.02", "4.5/8", "-4/8",
        "4/8 x", "4/8 1.02", "4/8 pow3", "4/8 pow2 x1.02", "four/8", "4/8 x1 y",
        None, 4,
    )  # fmt: skip
    def test_malformed_text_is_refused_with_examples(self, text):
        with self.assertRaisesRegex(
            ValueError, "'4/8'.*'4/FP'.*Received: " + repr(text)
        ):
            OperatingPoint.parse(text)

    @parameterized.parameters("4/8 x1.2.3", "4/8 x--1", "4/8 xe", "4/8 x.")
    def test_malformed_ratio_is_refused(self, text):
        with self.assertRaisesRegex(ValueError, "step scale.*Received"):
            OperatingPoint.parse(text)

    @parameterized.parameters("0/8", "17/8", "4/99")
    def test_bits_outside_the_range_are_refused_in_text_too(self, text):
        with self.assertRaisesRegex(ValueError, "_bits to be.*2..16"):
            OperatingPoint.parse(text)

    @parameterized.parameters(0, -1, 17, 32, 4.0, 4.5, "4", True, math.nan)
    def test_bits_that_are_no_integer_in_range_are_refused(self, bits):
        for name in ("weight_bits", "activation_bits"):
            with self.assertRaisesRegex(
                ValueError, f"{name} to be an integer in 2..16.*Received"
            ):
                OperatingPoint(**{name: bits})

    @parameterized.parameters(0.0, -1.0, math.nan, math.inf, "1.02", None)
    def test_bad_ratio_is_refused(self, scale):
        with self.assertRaisesRegex(ValueError, "positive, finite.*Received"):
            OperatingPoint(4, 4, step_scale=scale)

    @parameterized.parameters("down", "pow2", True, 2)
    def test_bad_rounding_is_refused(self, rounding):
        with self.assertRaisesRegex(ValueError, "'nearest' or 'up'"):
            OperatingPoint(4, 4, step_rounding=rounding)

    @parameterized.parameters(0.0, math.nan, "1.1", None)
    def test_bad_activation_ratio_is_refused(self, scale):
        with self.assertRaisesRegex(ValueError, "positive, finite.*Received"):
            OperatingPoint(4, 4, activation_step_scale=scale)

    @parameterized.parameters(
        "up", "stochastic:", "stochastic:-1", "stochastic:2147483648", None, 2
    )
    def test_unknown_rounding_mode_is_refused(self, mode):
        with self.assertRaisesRegex(ValueError, "'half_up', 'floor'.*Received"):
            OperatingPoint(4, 4, rounding_mode=mode)

    @parameterized.parameters("own", "Full", None)
    def test_unknown_grid_is_refused(self, grid):
        with self.assertRaisesRegex(ValueError, "'narrow', 'full'.*Received"):
            OperatingPoint(4, 4, grid=grid)

    def test_a_seed_that_is_not_given_is_zero(self):
        point = OperatingPoint.parse("4/FP Stochastic")

        self.assertEqual(point.rounding_mode, "stochastic:0")
        self.assertEqual(str(point), "4/FP stochastic:0")

    def test_numpy_numbers_become_plain_ones(self):
        point = OperatingPoint(np.int64(4), step_scale=np.float32(1.5))

        self.assertIs(type(point.weight_bits), int)
        self.assertIs(type(point.step_scale), float)
        self.assertIs(type(check_bits(np.int8(3))), int)

    def test_is_a_value(self):
        point = OperatingPoint(4, 8)

        self.assertEqual(hash(point), hash(OperatingPoint(4, 8)))
        with self.assertRaises(dataclasses.FrozenInstanceError):
            point.weight_bits = 8


if __name__ == "__main__":
    absltest.main()
