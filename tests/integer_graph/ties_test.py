"""Codes whose functions lie midway between no two codes."""

import numpy as np
import pytest
import tensorflow as tf

from kure_tf.integer_graph.graph import Quantization
from kure_tf.integer_graph.grids import clear_of_ties

_ALL = np.arange(-128, 128, dtype=np.int8)
# The code 39 is 0.57569754, of which 128 tanh is 66.5000044.
_NEAR_A_TIE = Quantization(0.015559392981231213, 2)


def _from_middle(quantization):
    """Returns how far the nearest result is from the middle of two codes."""
    values = quantization.values_of(_ALL).astype(np.float64)
    logistic = 256 / (1 + np.exp(-values))
    results = np.append(128 * np.tanh(values), logistic)
    return np.abs(results - np.floor(results) - 0.5).min()


@pytest.mark.one_keras
class ClearOfTiesTest(tf.test.TestCase):
    def test_a_result_that_libraries_round_differently_is_moved(self):
        self.assertLess(_from_middle(_NEAR_A_TIE), 1e-5)
        found = clear_of_ties(_NEAR_A_TIE, {"TANH"})
        self.assertEqual(found.zero_point, _NEAR_A_TIE.zero_point)
        self.assertAllClose(found.scale, _NEAR_A_TIE.scale, rtol=1e-4)
        values = np.abs(128 * np.tanh(found.values_of(_ALL)))
        self.assertGreater(np.abs(values % 1 - 0.5).min(), 5e-5)

    def test_any_codes_become_clear_and_few_change(self):
        rng = np.random.default_rng(0)
        changed = 0
        for scale, zero_point in zip(
            np.exp(rng.uniform(-8, 1, 200)),
            rng.integers(-128, 128, 200),
            strict=True,
        ):
            given = Quantization(float(np.float32(scale)), int(zero_point))
            found = clear_of_ties(given, {"LOGISTIC", "TANH"})
            self.assertGreater(_from_middle(found), 5e-5)
            self.assertAllClose(found.scale, given.scale, rtol=1e-3)
            changed += found != given
        self.assertBetween(changed, 1, 40)

    def test_without_a_function_nothing_changes(self):
        self.assertEqual(clear_of_ties(_NEAR_A_TIE, set()), _NEAR_A_TIE)


if __name__ == "__main__":
    tf.test.main()
