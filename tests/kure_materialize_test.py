"""Reading and packing codes; tests/export/artifact_test.py has the files."""

import contextlib
import io

import numpy as np
from absl.testing import absltest, parameterized

from kure_materialize import main, packed, read

CODES = np.arange(-127, 128, dtype=np.int8)


class ReadTest(parameterized.TestCase):
    @parameterized.parameters(*range(2, 9))
    def test_even_is_division_rounded_with_ties_to_even(self, bits):
        top = 2 ** (bits - 1) - 1

        expected = np.rint(CODES / 2.0 ** (8 - bits)).clip(-top, top)
        np.testing.assert_array_equal(read(CODES, bits), expected)

    @parameterized.parameters(*range(2, 9))
    def test_truncate_is_division_rounded_down(self, bits):
        expected = np.floor(CODES / 2.0 ** (8 - bits))

        np.testing.assert_array_equal(read(CODES, bits, "truncate"), expected)

    @parameterized.parameters(*range(2, 8))
    def test_middle_is_the_middle_of_what_truncation_leaves(self, bits):
        size = 2 ** (8 - bits)

        # In the unit of the codes, which a step of 2^(k-1) makes whole.
        middle = np.floor(CODES / size) * size + size / 2
        np.testing.assert_array_equal(
            read(CODES, bits, "middle"), middle / (size / 2)
        )

    @parameterized.parameters("even", "middle", "truncate")
    def test_8_bits_are_the_codes_themselves(self, reading):
        np.testing.assert_array_equal(read(CODES, 8, reading), CODES)

    def test_what_is_given_stays(self):
        codes = CODES.astype(np.int16)

        read(codes, 2)

        np.testing.assert_array_equal(codes, CODES)


class PackedTest(parameterized.TestCase):
    @parameterized.parameters(
        (4, [1, 2, -1], [0x21, 0x0F]),
        (2, [1, -2, -1, 0], [0x39]),
        (8, [1, -1], [0x01, 0xFF]),
    )
    def test_lowest_bits_come_first(self, bits, codes, expected):
        np.testing.assert_array_equal(packed(np.array(codes), bits), expected)


class MainTest(parameterized.TestCase):
    @parameterized.parameters(
        ("--bist=4", "unknown option --bist. Did you mean --bits[?]"),
        ("--fourty", "unknown option --fourty[.]"),
        ("--out=x", "required: --bits"),
    )
    def test_a_wrong_option_is_named_with_the_nearest(self, option, message):
        printed = io.StringIO()
        with contextlib.redirect_stderr(printed), self.assertRaises(SystemExit):
            main(["model.kure", option])
        self.assertRegex(printed.getvalue(), message)


if __name__ == "__main__":
    absltest.main()
