"""Values of one tensor, prepared for the errors of many step sizes.

Sorted values and their running sums give the mean squared error of a step
size, exactly, from one binary search per level. (Other norms are summed over
quantiles, and few distinct values one by one.) That is what makes a dense
search over step sizes affordable. Sorting is what takes long then, so large
tensors are counted into narrow bins instead, which one pass does.
"""

import functools

import numpy as np

from kure_tf.ops.lp_mean import lp_mean
from kure_tf.ops.quantization_error import mean_squared_error

FEW = 64
"""Distinct values up to which the error has many narrow minima."""

_POINTS = 1 << 14
_TAIL = 1 << 10
_BLOCK = 1 << 15  # Numbers at work at a time: what the cache holds.
_MANY = 1 << 15  # Values from which on they may be counted into bins,
_BINS = 1 << 14  # so many of them.


class SortedValues:
    """Values of one tensor (or channel), prepared for quick errors.

    Args:
        values: Array of any shape, finite, not empty.
        binned: Whether more than 2^15 values may be counted into 2^14 bins of
            equal width w, each to stand in the middle of its bin. Where the
            step is large beside w, that moves the error by about w^2 / 12 and
            its minimum not at all. Few distinct values are kept as they are.
    """

    def __init__(self, values, *, binned=False):
        values = np.asarray(values, np.float32).reshape(-1)
        self.size = values.size
        self.values = self._counts = None
        if binned and values.size > _MANY:
            self.values, self._counts = _binned(values)
        if self._counts is None:
            self.values = np.sort(values)
        self._sums, self._squares = self._running_sums()
        self._below = None
        if self._counts is not None:
            self._below = np.concatenate([[0.0], np.cumsum(self._counts)])

    def _running_sums(self):
        # In one array: that of a large kernel is twice as large as it.
        sums = np.zeros(self.values.size + 1)
        wide = sums[1:]
        wide[:] = self.values
        counted = wide if self._counts is None else wide * self._counts
        squares = float(np.dot(counted, wide))
        np.cumsum(counted, out=wide)
        return sums, squares

    @property
    def total_moments(self):
        """Number, sum and sum of squares of the values."""
        return float(self.size), self._sums[-1], self._squares

    def moments_below(self, x):
        """Returns number and sum of the values below `x`, for each `x`."""
        at = np.searchsorted(self.values, x.astype(np.float32))
        below = (
            at.astype(np.float64) if self._below is None else self._below[at]
        )
        return below, self._sums[at]

    def lp_errors(self, step_sizes, levels, offset=0.0, p=2.0):
        """Returns (E|x - Q(x)|^p)^(1/p) for each step size.

        For p other than 2 and more than 2^14 distinct values it is taken over
        quantiles and the 1,024 values at either end.
        """
        if p == 2 and not self.has_few_values:
            return np.sqrt(mean_squared_error(self, step_sizes, levels, offset))
        x, weights = self._points
        blocks = 1 + len(step_sizes) * x.size // _BLOCK
        errors = []
        for steps in np.array_split(step_sizes, blocks):
            steps = steps[:, None]
            codes = np.clip(np.round(x / steps - offset), *levels)
            errors.append(lp_mean(x - (codes + offset) * steps, p, weights))
        return np.concatenate(errors)

    @functools.cached_property
    def has_few_values(self):
        return np.count_nonzero(np.diff(self.values)) < FEW

    @functools.cached_property
    def _points(self):
        """Values that stand for all, and the share of each."""
        if self.values.size != self.size:  # Counted into bins.
            shares = self._counts / self.size
            return self.values.astype(np.float64), shares
        values, counts = np.unique(self.values, return_counts=True)
        if values.size > _POINTS:
            # Large powers of the error live in the tails, so those are kept.
            inner = self.values[_TAIL:-_TAIL]
            edges = np.linspace(0, inner.size, _POINTS + 1).astype(int)
            middles = inner[(edges[:-1] + edges[1:]) // 2]
            tails = self.values[:_TAIL], self.values[-_TAIL:]
            values = np.concatenate([tails[0], middles, tails[1]])
            ones = np.ones(_TAIL, int)
            counts = np.concatenate([ones, np.diff(edges), ones])
        return values.astype(np.float64), counts / self.values.size


def _binned(values):
    """Returns the middles of filled bins and their counts, or Nones.

    In blocks that the cache holds, this takes a tenth of the time of a sort.
    """
    low, high = float(values.min()), float(values.max())
    width = (high - low) / (_BINS - 1)
    if width <= 1e-6 * max(-low, high):  # Too narrow for float32.
        return None, None
    counts = np.zeros(_BINS, np.int64)
    for start in range(0, values.size, _BLOCK):
        block = values[start : start + _BLOCK] - np.float32(low - width / 2)
        block *= np.float32(1 / width)
        counts += np.bincount(block.astype(np.int64), minlength=_BINS)
    filled = np.flatnonzero(counts)
    if filled.size < FEW:
        return None, None
    middles = (low + width * filled).astype(np.float32)
    return middles, counts[filled].astype(np.float64)
