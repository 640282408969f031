"""Coordinate descent on codes that are read at several bit-widths."""

import dataclasses

import numpy as np

from kure_materialize import read
from kure_tf.ptq.rounding_search import OutputError

CODES = np.arange(-127, 128)
_ROWS = 32  # Of a kernel, whose responses are made anew at a time.
_SMALLEST_GAIN = 1e-6  # Relative: rounding errors are no gain.
_FEWEST_MOVES = 1e-3  # Of the codes, for another round.


@dataclasses.dataclass(frozen=True, eq=False)
class Term:
    """The error of one width's network, and its weight in the sum.

    Attributes:
        bits: The width.
        values: Float64 `[255]`: what a code from -127 to 127 stands for, in
            8-bit steps.
        error: The `OutputError`; its step size is that of 8 bits.
        weight: Array `[g, m]`.
    """

    bits: int
    values: np.ndarray
    error: OutputError
    weight: np.ndarray

    def matrix(self, codes) -> np.ndarray:
        """Returns the weights that codes `[g, k, m]` stand for."""
        return self.values[codes + 127] * self.error.step_size

    def errors(self, codes) -> np.ndarray:
        """Returns the error `[g, m]` of codes `[g, k, m]`."""
        matrix = self.matrix(codes)
        gram, cross, power = self.error.moments
        own = (matrix * (gram @ matrix)).sum(1)
        return self.error.of_sums(own, (matrix * cross).sum(1), power)


def cells_of(bits, reading):
    """Returns the runs of codes that read alike at each of `bits`.

    Returns:
        Two arrays: the first and the last code of each run, in order.
    """
    keys = np.stack([read(CODES, b, reading) for b in bits])
    starts = np.flatnonzero((np.diff(keys) != 0).any(0)) + 1
    return CODES[np.r_[0, starts]], CODES[np.r_[starts - 1, len(CODES) - 1]]


def descended(codes, terms, cells, bounds, rounds):
    """Returns codes of which none lowers the errors by moving alone.

        sum over terms of weight * error        per output channel

    One row of the kernel after the other, of all channels at once. The error
    of the widest term is nearly a parabola of a single code, and those of the
    others are constant where the code reads alike. So the best code is, in one
    of these `cells`, the one next to the lowest point of the widest term: a
    dozen candidates in place of 255.

    With G the second moments of the inputs and W the weights in force, what
    moves of row k need is (G W)_k. It is made for `_ROWS` rows by one matrix
    product, and kept up to date inside them alone: no more than a product of
    the size of G W for each round, whatever moves.

    Args:
        codes: Integers `[g, k, m]` to start from.
        terms: The `Term`s, the widest last.
        cells: `(first, last)`: arrays of codes; see `cells_of`.
        bounds: `(low, high)`: what codes may be, arrays that broadcast.
        rounds: How often to go through all rows at most.
    """
    state = _State(codes, terms)
    low, high = (np.broadcast_to(bound, codes.shape) for bound in bounds)
    first, last = (ends[:, np.newaxis, np.newaxis] for ends in cells)
    for _ in range(rounds):
        before = state.codes.copy()
        for start in range(0, codes.shape[1], _ROWS):
            rows = slice(start, start + _ROWS)
            responses = state.responses(rows)
            for row in range(start, min(start + _ROWS, codes.shape[1])):
                best = state.lowest(row, responses[:, :, row - start])
                candidates = np.clip(best, first, last)
                candidates = np.clip(candidates, low[:, row], high[:, row])
                state.move(row, candidates, rows, responses)
        if (state.codes != before).mean() < _FEWEST_MOVES:
            break
    return state.codes


class _State:
    """Codes, with the sums that their errors follow from, `[term, g, m]`."""

    def __init__(self, codes, terms):
        self.codes = codes.astype(np.int64)
        self._error = terms[0].error
        self._step = terms[0].error.step_size[:, 0].astype(np.float64)
        self._values = np.stack([term.values for term in terms])
        self._weights = np.stack([term.weight for term in terms])
        moments = [term.error.moments for term in terms]
        self._grams = [gram for gram, _, _ in moments]
        self._cross = np.stack([cross for _, cross, _ in moments], 2)
        self._power = np.stack([power for *_, power in moments])
        self._matrix = np.stack([term.matrix(codes) for term in terms])
        sums = [
            (matrix * (gram @ matrix)).sum(1)
            for gram, matrix in zip(self._grams, self._matrix, strict=True)
        ]
        self._own = np.stack(sums)
        self._shared = np.stack(
            [
                (m * c).sum(1)
                for m, (_, c, _) in zip(self._matrix, moments, strict=True)
            ]
        )

    def responses(self, rows):
        """Returns the rows of G W of each term, `[term, g, rows, m]`."""
        return np.stack(
            [
                gram[:, rows].astype(np.float64) @ matrix
                for gram, matrix in zip(self._grams, self._matrix, strict=True)
            ]
        )

    def lowest(self, row, responses):
        """Returns the code of the smallest error of the widest term.

        With q the output, the relative error is least where E[y q] grows as
        E[q^2] / 2, the normalized one where E[y q] / sqrt(E[q^2] + epsilon)
        is largest; both are solved for the move.
        """
        own, shared = self._own[-1], self._shared[-1]
        cross = self._cross[:, row, -1].astype(np.float64)
        response = responses[-1]
        curve = self._grams[-1][:, row, row, np.newaxis].astype(np.float64)
        if self._error.epsilon is None:
            above, below = cross - response, curve
        else:
            above = cross * (own + self._error.epsilon) - shared * response
            below = shared * curve - cross * response
        steps = np.divide(
            above, below * self._step, out=np.zeros_like(above), where=below > 0
        )
        present = self._values[-1][self.codes[:, row] + 127]
        return np.rint(np.clip(present + steps, -127, 127)).astype(np.int64)

    def move(self, row, candidates, rows, responses):
        """Gives each channel its best candidate, if that gains."""
        values = self._values[:, candidates + 127] * self._step
        moves = values - self._matrix[:, np.newaxis, :, row]
        response = responses[:, np.newaxis, :, row - rows.start]
        curve = np.stack(
            [gram[:, row, row, np.newaxis] for gram in self._grams]
        )
        cross = np.moveaxis(self._cross[:, row], 1, 0)
        own = self._own[:, np.newaxis] + moves * (
            2.0 * response + moves * curve[:, np.newaxis]
        )
        shared = self._shared[:, np.newaxis] + moves * cross[:, np.newaxis]
        total = self._total(own, shared, self._power[:, np.newaxis])
        best = total.argmin(0)[np.newaxis]
        present = self._total(self._own, self._shared, self._power)
        gain = present - np.take_along_axis(total, best, 0)[0]
        better = gain > _SMALLEST_GAIN * np.abs(present)
        if not better.any():
            return
        chosen = np.take_along_axis(candidates, best, 0)[0]
        self.codes[:, row] = np.where(better, chosen, self.codes[:, row])
        best = np.broadcast_to(best, (len(moves), *best.shape))

        def taken(array, otherwise):
            found = np.take_along_axis(array, best, 1)[:, 0]
            return np.where(better, found, otherwise)

        self._own = taken(own, self._own)
        self._shared = taken(shared, self._shared)
        moves = taken(moves, 0.0)
        self._matrix[:, :, row] += moves
        for gram, response, move in zip(
            self._grams, responses, moves, strict=True
        ):
            response += gram[:, rows, row, np.newaxis] * move[:, np.newaxis]

    def _total(self, own, shared, power):
        errors = self._error.of_sums(own, shared, power)
        weights = self._weights
        if errors.ndim > weights.ndim:
            weights = weights[:, np.newaxis]
        return (weights * errors).sum(0)
