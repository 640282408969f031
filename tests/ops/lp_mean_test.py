import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf.ops.lp_mean import lp_mean


def _errors(scale=1.0):
    errors = np.random.default_rng(0).normal(size=(3, 5, 40))
    return (scale * errors).astype(np.float32)


class LpMeanTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(p=(0.5, 1, 2, 2.5, 7), scale=(1e-3, 1.0, 1e3))
    def test_it_is_the_root_of_the_mean_power(self, p, scale):
        errors = _errors(scale).astype(np.float64)
        expected = np.mean(np.abs(errors) ** p, axis=-1) ** (1 / p)
        self.assertAllClose(lp_mean(_errors(scale), p), expected, rtol=1e-5)

    @parameterized.product(p=(300, 5000.0), scale=(1e-30, 1.0, 1e30))
    def test_large_powers_neither_vanish_nor_overflow(self, p, scale):
        """max|e| n^(-1/p) <= (E|e|^p)^(1/p) <= max|e|."""
        largest = np.abs(_errors(scale)).max(-1)
        found = lp_mean(_errors(scale), p)
        self.assertAllLessEqual(found / largest, 1.0)
        self.assertAllGreaterEqual(found / largest, 0.999 * 40 ** (-1 / p))

    def test_infinity_is_the_largest(self):
        found = lp_mean(_errors(), np.inf)
        self.assertAllEqual(found, np.abs(_errors()).max(-1))

    @parameterized.parameters(1, 2, 3.5)
    def test_weights_are_shares(self, p):
        counts = np.arange(40) % 4
        repeated = np.repeat(_errors(), counts, axis=-1)
        shares = counts / counts.sum()
        self.assertAllClose(
            lp_mean(_errors(), p, shares), lp_mean(repeated, p), rtol=1e-5
        )

    @parameterized.parameters(1, 2, 300, np.inf)
    def test_no_error_is_zero(self, p):
        self.assertAllEqual(lp_mean(np.zeros((2, 3)), p), [0.0, 0.0])


if __name__ == "__main__":
    tf.test.main()
