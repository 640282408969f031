"""Fixed-point multiplication in float64 is that in whole numbers."""

from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf.export.kernel_sets import fixed_point, fused, xnnpack


def _twice(x, q, exponent, *, away):
    """Returns x q 2^(exponent - 31) in Python's integers, rounded twice."""
    left, right = max(exponent, 0), max(-exponent, 0)
    high = (x * (q << left) + 2**30) >> 31
    half = (1 << right) >> 1
    return (high - (away and right > 0 and high < 0) + half) >> right


class FixedPointTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        away=[False, True],
        exponent=[2, 0, -5, -13, -14],
        compiled=[False, True],
    )
    def test_codes_are_those_of_whole_numbers(self, away, exponent, compiled):
        """Sums at and around each rounding border, and large ones."""
        random = np.random.default_rng(0)
        rounded = (
            fixed_point.code_half_away if away else fixed_point.code_half_up
        )
        for q in (2**30, 2**31 - 1, *random.integers(2**30, 2**31, 4)):
            ratio = float(q) * 2.0 ** (exponent - 31)
            borders = np.rint((np.arange(-140, 140) + 0.5) / ratio)
            sums = np.concatenate(
                [borders - 1, borders, borders + 1, [2**31 - 1, 1 - 2**31]]
            )
            sums = np.clip(sums, 1 - 2**31, 2**31 - 1).astype(np.int64)
            with mock.patch.object(fused, "LARGE", 1 if compiled else 2**18):
                found = rounded(sums, (np.int64(q), np.int64(exponent)))
            wanted = [_twice(int(x), int(q), exponent, away=away) for x in sums]
            self.assertAllEqual(
                np.clip(found, -255, 255), np.clip(wanted, -255, 255)
            )

    def test_xnnpack_rounds_products_in_float32(self):
        random = np.random.default_rng(0)
        sums = random.integers(-(2**24), 2**24, (4096, 64)).astype(np.float32)
        ratio = (2.0 ** random.uniform(-16, -8, 64)).astype(np.float32)
        self.assertAllEqual(
            xnnpack._rounded(sums, ratio), np.rint(sums * ratio)
        )


if __name__ == "__main__":
    tf.test.main()
