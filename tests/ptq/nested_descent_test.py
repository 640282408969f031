"""Tests for ptq/nested_descent.py."""

import numpy as np
import pytest
from absl.testing import absltest, parameterized

from kure_materialize import read
from kure_tf.ptq.nested_descent import CODES, Term, cells_of, descended
from kure_tf.ptq.rounding_search import OutputError

pytestmark = pytest.mark.one_keras

WIDTHS = (2, 3, 8)
ROUNDS = 100  # Until nothing moves.


def _terms(epsilon, *, groups=2, rows=40, channels=3, seed=0):
    """Returns terms of random inputs, and the codes nearest to the weights."""
    rng = np.random.default_rng(seed)
    weights = rng.uniform(-1, 1, (groups, rows, channels))
    step = np.full((groups, 1, channels), 1.3 / 127)
    terms = []
    for bits in WIDTHS:
        x = rng.normal(size=(groups, 200, rows)) + 0.3
        y = x @ weights
        moments = (
            np.float32(np.swapaxes(x, 1, 2) @ x / 200),
            np.float32(np.swapaxes(x, 1, 2) @ y / 200),
            np.float32((y**2).mean(1)),
        )
        values = 2 ** (8 - bits) * read(CODES, bits).astype(np.float64)
        weight = rng.uniform(0.5, 2.0, (groups, channels))
        error = OutputError(step, moments, epsilon)
        terms.append(Term(bits, values, error, weight))
    return terms, np.rint(weights / step).astype(np.int64)


def _total(terms, codes):
    """The weighted sum of errors in float64, from their definition."""
    total = 0.0
    for term in terms:
        gram, cross, power = (np.float64(m) for m in term.error.moments)
        matrix = term.values[codes + 127] * term.error.step_size
        own = np.einsum("gkm,gkl,glm->gm", matrix, gram, matrix)
        shared = np.einsum("gkm,gkm->gm", matrix, cross)
        if term.error.epsilon is None:
            error = (power + own - 2 * shared) / power
        else:
            a, b = power + term.error.epsilon, own + term.error.epsilon
            error = power / a + own / b - 2 * shared / np.sqrt(a * b)
        total = total + term.weight * error
    return total


class CellsTest(parameterized.TestCase):
    @parameterized.parameters("even", "middle", "truncate")
    def test_cells_are_the_runs_of_equal_readings(self, reading):
        first, last = cells_of([2, 3], reading)
        keys = [
            (int(read(c, 2, reading)), int(read(c, 3, reading))) for c in CODES
        ]
        runs = [
            (
                CODES[i],
                max(c for c, k in zip(CODES, keys, strict=True) if k == key),
            )
            for i, key in enumerate(keys)
            if i == 0 or keys[i - 1] != key
        ]
        self.assertEqual(list(zip(first, last, strict=True)), runs)


class DescendedTest(parameterized.TestCase):
    @parameterized.parameters(None, 1e-3)
    def test_no_code_gains_by_moving_alone(self, epsilon):
        terms, nearest = _terms(epsilon)
        cells = cells_of(WIDTHS[:-1], "even")
        every = CODES[0], CODES[-1]
        codes = descended(nearest, terms, cells, every, ROUNDS)
        least = _total(terms, codes)
        self.assertTrue((least < _total(terms, nearest)).all())
        for row in range(codes.shape[1]):
            for code in CODES:
                other = codes.copy()
                other[:, row] = code
                gain = least - _total(terms, other)
                self.assertLess((gain / least).max(), 1e-2)

    def test_codes_stay_within_bounds(self):
        terms, nearest = _terms(None)
        bounds = nearest - 3, nearest + 2
        bounds = [np.clip(bound, -127, 127) for bound in bounds]
        cells = cells_of(WIDTHS[:-1], "even")
        codes = descended(nearest, terms, cells, bounds, ROUNDS)
        self.assertTrue((codes >= bounds[0]).all())
        self.assertTrue((codes <= bounds[1]).all())
        self.assertTrue((codes != nearest).any())

    def test_groups_and_channels_do_not_touch_each_other(self):
        terms, nearest = _terms(1e-3)
        cells = cells_of(WIDTHS[:-1], "even")
        every = CODES[0], CODES[-1]
        together = descended(nearest, terms, cells, every, 3)
        alone = [
            Term(
                term.bits,
                term.values,
                OutputError(
                    term.error.step_size[1:, :, 2:],
                    (
                        term.error.moments[0][1:],
                        term.error.moments[1][1:, :, 2:],
                        term.error.moments[2][1:, 2:],
                    ),
                    term.error.epsilon,
                ),
                term.weight[1:, 2:],
            )
            for term in terms
        ]
        found = descended(nearest[1:, :, 2:], alone, cells, every, 3)
        self.assertGreater((found == together[1:, :, 2:]).mean(), 0.98)


if __name__ == "__main__":
    absltest.main()
