"""The search for the nested codes of one layer, on second moments alone."""

import dataclasses

import numpy as np

from kure_materialize import read
from kure_tf.ptq.nested_descent import CODES, Term, cells_of, descended
from kure_tf.ptq.rounding_search import OutputError, learned_codes
from kure_tf.settings.nested_weights import unit_of

_LEARNING_RATE, _REGULARIZATION = 0.04, 4.0


class LayerSearch:
    """The search for the codes of one kernel, in its `KernelMatrix`.

    Args:
        kernel: The `NestedKernel`.
        weights: Its weights `[g, k, m]`, in 8-bit steps.
        step_size: The 8-bit steps, `[g, 1, m]`.
        moments: `{width: means of SecondMoments}`, fewest bits first.
        epsilon: As for `OutputError`.
        reading: How a device reads the codes.
    """

    def __init__(self, kernel, weights, step_size, moments, epsilon, reading):
        self._kernel, self._weights = kernel, weights
        self._step_size, self._epsilon = step_size, epsilon
        self._moments, self._reading = moments, reading
        nearest = np.clip(np.rint(weights), -127, 127).astype(np.int64)
        self._nearest, self._terms = nearest, []
        for width, found in moments.items():
            error = OutputError(step_size, found, epsilon)
            unit = unit_of(width, reading)[0]
            values = unit * read(CODES, width, reading).astype(np.float64)
            term = Term(width, values, error, np.ones(found[2].shape))
            before = term.errors(nearest)
            weight = 1.0 / np.sqrt(np.maximum(before, 0.0) + 1e-6)
            self._terms.append(dataclasses.replace(term, weight=weight))

    def codes(self, updates, rounds):
        """Returns codes `[g, k, m]`, and mean errors of widths as values."""
        coarse = [term.bits for term in self._terms[:-1]]
        bounds = self._bounds(updates)
        codes = np.clip(self._nearest, *bounds)
        if coarse and rounds:
            cells = cells_of(coarse, self._reading)
            codes = descended(codes, self._terms[-1:], cells, bounds, 1)
        else:
            cells = CODES[:1], CODES[-1:]
        every = CODES[0], CODES[-1]
        codes = descended(codes, self._terms, cells, every, rounds)
        errors = {
            str(term.bits): {
                "nearest": float(term.errors(self._nearest).mean()),
                "nested": float(term.errors(codes).mean()),
            }
            for term in self._terms
        }
        return codes, errors

    def _bounds(self, updates):
        """Returns the codes that read as the level learned at fewest bits."""
        if not updates:
            return CODES[0], CODES[-1]
        low, high, offset, unit = self._kernel.lowest_levels()
        width = self._terms[0].bits
        error = OutputError(
            self._step_size * unit, self._moments[width], self._epsilon, offset
        )
        levels, _, _ = learned_codes(
            error,
            self._weights / unit - offset,
            (low, high),
            updates=updates,
            learning_rate=_LEARNING_RATE,
            regularization=_REGULARIZATION,
        )
        first, last = cells_of([width], self._reading)
        number = (levels - low).astype(int)
        return first[number], last[number]
