"""Rows of values counted onto nodes, for the errors of steps that they share.

In units of a row's own largest step, the squared error of a value is a function
of the value and of the ratio of the step to the largest one. Counted onto nodes
that all rows share, the errors of all rows at all ratios are one product of two
matrices, and a look at a value costs a hundredth of what rounding it does.
"""

import dataclasses
import functools

import numpy as np

NODES = 1 << 11
"""About how many nodes a row has."""

COLUMNS = 1 << 6
"""Ratios whose costs are kept as one matrix."""

MOST_LEVELS = 1 << 8
"""Levels up to which nodes are close beside the distance of two."""

_PER_LEVEL = 1 << 4  # Nodes from level to level, at the least.
_BLOCK = 1 << 16  # Numbers at work at a time: what the cache holds.


class CountedRows:
    """Rows of values, counted onto nodes.

    Between two nodes a value counts for both, the more the closer it is. Its
    error is then that of a straight line between the two: a little more than
    its own, and less near the middle of two levels. With 16 nodes from level to
    level that is 3 to 4 hundredths of the error of one value, and over
    sqrt(n) of that of many.

    Args:
        rows: Float32 array `[rows, n]`, finite.
        largest: Array `[rows]`: the smallest steps that clip nothing, normal
            float32 numbers.
        levels: `(low, high)`, whole numbers, at most `MOST_LEVELS` apart.
        offset: Shift of the levels in steps.
    """

    def __init__(self, rows, largest, levels, offset=0.0):
        self._axis = _Axis(float(levels[0]), float(levels[1]), float(offset))
        self.size = rows.shape[1]
        nodes = self._axis.size
        self._counts = np.empty((len(rows), nodes), np.float32)
        at_once = max(1, _BLOCK // max(rows.shape[1], nodes))
        for first in range(0, len(rows), at_once):
            some = slice(first, first + at_once)
            self._counts[some] = self._axis.counted(rows[some], largest[some])

    def mean_squared_errors(self, ratios, rows=None) -> np.ndarray:
        """Returns the errors `[rows, ratios]` over the largest steps squared.

        Args:
            ratios: Tuple of steps over the largest ones. What they cost at each
                node is kept for other rows.
            rows: Booleans: which rows to take; None for all.
        """
        counts = self._counts if rows is None else self._counts[rows]
        found = np.empty((len(counts), len(ratios)), np.float32)
        for first in range(0, len(ratios), COLUMNS):
            some = slice(first, first + COLUMNS)
            costs = _costs(self._axis, ratios[some])
            np.matmul(counts, costs, out=found[:, some])
        found /= self.size
        return found


@dataclasses.dataclass(frozen=True)
class _Axis:
    """Where the nodes are, in units of the largest step."""

    low: float
    high: float
    offset: float

    @property
    def folds(self):
        """Whether a value costs what its negative does."""
        return self.low + self.offset == -(self.high + self.offset)

    @property
    def first(self):
        return 0.0 if self.folds else self.low + self.offset - 0.5

    @property
    def length(self):
        return self.high + self.offset + 0.5 - self.first

    @property
    def per_level(self):
        """Nodes from level to level; half of them is a whole number, too."""
        return max(_PER_LEVEL, 2 * int(NODES / self.length / 2))

    @property
    def size(self):
        """The number of nodes: one more than a value can come to."""
        return int(np.ceil(self.length * self.per_level)) + 2

    def counted(self, rows, largest):
        """Returns the counts `[rows, nodes]`."""
        count, size = rows.shape[1], self.size
        at = rows * np.float32(self.per_level / largest)[:, np.newaxis]
        if self.folds:
            np.abs(at, out=at)
        else:
            at -= np.float32(self.first * self.per_level)
            np.maximum(at, 0, out=at)
        if at.max() > size - 2:
            np.minimum(at, size - 2, out=at)
        # Each row has places of its own, which are larger than its counts: the
        # sum of what is in a place tells how many they were.
        starts, numbers, inverses = _places(count, size, len(rows))
        at = np.add(at, starts[:, np.newaxis], dtype=np.float64).reshape(-1)
        sums = np.bincount(at.astype(np.int64), at, count + numbers.size)
        sums = sums[count:]
        counts = sums * inverses
        np.rint(counts, out=counts)
        sums -= counts * numbers  # What counts for the next node.
        counts -= sums
        counts[1:] += sums[:-1]
        return counts.reshape(len(rows), size)

    def costs(self, ratios):
        """Returns the squared errors of the nodes `[nodes, ratios]`."""
        nodes = self.first + np.arange(self.size) / self.per_level
        nodes = nodes[:, np.newaxis]
        codes = np.rint(nodes / ratios - self.offset)
        codes = np.clip(codes, self.low, self.high)
        return (nodes - (codes + self.offset) * ratios) ** 2


@functools.lru_cache(maxsize=4)
def _places(first, size, rows):
    """Returns where rows start, all places, and factors from sums to counts."""
    places = first + np.arange(size * rows, dtype=np.float64)
    return places[::size], places, 1 / (places + 0.5)


@functools.lru_cache(maxsize=64)
def _costs(axis, ratios):
    return axis.costs(np.array(ratios)).astype(np.float32)
