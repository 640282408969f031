"""The step sizes with the smallest error, of many rows of values at once.

The errors of short rows are computed value by value, of many rows and step
sizes in one pass, by XLA where there are many (`mean_squared_errors`); a long
row is sorted first (`SortedValues`).
"""

import numpy as np

from kure_tf.ops.lp_mean import lp_mean
from kure_tf.ops.sorted_values import FEW, SortedValues
from kure_tf.ops.squared_errors import (
    LONGEST,
    SHORTEST,
    mean_squared_errors,
)
from kure_tf.ops.threads import in_threads

# Values that lie on a grid of their own may leave out every second level: the
# best step is then close to twice the smallest one that clips nothing.
_LARGEST_RATIO = 2.0
_SMALLEST_RATIO = 0.004
_SPACING = 0.05  # Neighbouring steps differ by 5 %.
_NEAR_ONE = np.linspace(0.9, 1.1, 41)  # Bounded tensors have sharp minima here.
_AROUND = np.arange(-16, 16) / 16.0
_KEPT, _KEPT_OF_FEW = 3, 5  # Steps that are looked at more closely,
_FINEST = 2  # and those that are once more.
_LONG = 1 << 10  # Values in a row from which on sorting them may pay,
_VALUES_PER_LEVEL = 1 << 6  # if there are so many for each level.
_BLOCK = 1 << 17  # Numbers at work at a time: what the cache holds.
_ROWS = 1 << 19  # Numbers of the rows that are searched at a time.
_SIDE_BY_SIDE = 1 << 9  # From so many on, NumPy's loops are quick.
_MUCH_WORK = 1 << 21  # Errors from which on it pays to compile their loop.
_BINNED_LEVELS = 1 << 9  # Bins are narrow beside so many levels.


def lp_errors(rows, step_sizes, levels, offset=0.0, p=2.0) -> np.ndarray:
    """Returns (E|x - Q(x)|^p)^(1/p) of each row at each of its step sizes.

    Args:
        rows, levels, offset, p: As for `best_step_sizes`.
        step_sizes: Array `[rows, s]`, positive.

    Returns:
        Array `[rows, s]`, in the unit of the values.
    """
    rows = np.asarray(rows, np.float32)
    count = step_sizes.shape[1]
    compiled = p == 2 and rows.size * count >= _MUCH_WORK
    if compiled and SHORTEST <= rows.shape[1] <= LONGEST:
        squares = mean_squared_errors(rows, step_sizes, levels, offset)
        return np.sqrt(squares) * step_sizes
    errors = np.empty(step_sizes.shape)
    for some in _blocks(len(rows), rows.shape[1] * min(count, _SIDE_BY_SIDE)):
        values = np.ascontiguousarray(rows[some])
        for part in _blocks(count, values.size):
            steps = step_sizes[some, part]
            v = _over(values, steps.astype(np.float32))
            if offset:
                v -= np.float32(offset)
            codes = np.rint(v)
            np.clip(codes, *np.float32(levels), out=codes)
            v -= codes
            errors[some, part] = lp_mean(v, p) * steps
    return errors


def _over(rows, steps):
    """Returns rows / steps, `[rows, s, n]`, with the longer axis side by side.

    NumPy goes through the last axis in memory as one, and takes as long to
    begin as for a hundred numbers.
    """
    if rows.shape[1] >= steps.shape[1]:
        return rows[:, np.newaxis] * (1 / steps)[..., np.newaxis]
    v = rows[..., np.newaxis] * (1 / steps)[:, np.newaxis]
    return np.swapaxes(v, 1, 2)


def _blocks(count, size, numbers=_BLOCK):
    """Yields slices of `count` things of `size`, each of so many numbers."""
    length = max(1, numbers // size)
    for start in range(0, count, length):
        yield slice(start, start + length)


def best_step_size(values, largest, levels, offset=0.0, p=2.0) -> float:
    """Returns the step size with the smallest E|x - Q(x)|^p of one row.

    Args:
        values: Array of any shape, finite, not empty.
        largest, levels, offset, p: See `best_step_sizes`.
    """
    row = np.reshape(values, (1, -1))
    return float(best_step_sizes(row, [largest], levels, offset, p)[0])


def best_step_sizes(rows, largest, levels, offset=0.0, p=2.0) -> np.ndarray:
    """Returns the step size with the smallest E|x - Q(x)|^p of each row.

    The error has several local minima. Steps from 0.4 % to 200 % of `largest`
    are tried, `largest` among them, 5 % apart and closer near `largest`;
    around the best, ever finer ones, down to 0.02 % apart. Steps at which the
    outermost value alone costs more than all values do at `largest` are left
    out. A row of few distinct values gets a denser search. Rows are searched
    side by side on the threads that TensorFlow may use.

    Args:
        rows: Array `[rows, n]`, finite, not empty.
        largest: Array `[rows]`: the smallest step sizes at which nothing is
            clipped, positive.
        levels: `(low, high)`, whole numbers.
        offset: Shift of the levels in steps.
        p: The norm, positive; 2 is the mean squared error, infinity the
            largest error.
    """
    rows = np.asarray(rows, np.float32)
    largest = np.asarray(largest, np.float64)
    grid = (levels, offset, p)
    best = np.empty(len(rows))
    level_count = levels[1] - levels[0]
    alone = _better_alone(rows, level_count)

    def search_one(row):
        best[row : row + 1] = _best_of_one(rows[row], largest[row], grid)

    def search_some(some):
        values = np.ascontiguousarray(rows[some])  # They may lie apart.
        best[some] = _best_of_short(values, largest[some], grid)

    in_threads(search_one, np.flatnonzero(alone))
    together = np.flatnonzero(~alone)
    size = int(max(rows.shape[1], _SIDE_BY_SIDE, 4 * level_count))
    blocks = [together[some] for some in _blocks(together.size, size, _ROWS)]
    in_threads(search_some, blocks)
    return best


def _better_alone(rows, level_count):
    """Returns which rows are long, or repeat a few of their values."""
    count = rows.shape[1]
    if count <= FEW:
        return np.zeros(len(rows), bool)
    if count > max(_LONG, _VALUES_PER_LEVEL * level_count):
        return np.ones(len(rows), bool)
    start = np.sort(rows[:, : 4 * FEW], axis=1)
    return np.count_nonzero(np.diff(start, axis=1), axis=1) < FEW


def _best_of_one(row, largest, grid):
    levels = grid[0]
    few_levels = levels[1] - levels[0] <= _BINNED_LEVELS
    prepared = SortedValues(row, binned=few_levels)

    def errors(steps):
        return prepared.lp_errors(steps[0], *grid)[np.newaxis]

    few = prepared.has_few_values
    ends = prepared.values[[0, -1], np.newaxis]
    return _search(errors, ends, row.size, largest[np.newaxis], grid, few)


def _best_of_short(rows, largest, grid):
    def errors(steps):
        return lp_errors(rows, steps, *grid)

    ends = rows.min(axis=1), rows.max(axis=1)
    count = rows.shape[1]
    return _search(errors, ends, count, largest, grid, count <= FEW)


def _search(errors, ends, count, largest, grid, few):
    spacing, kept = _SPACING, _KEPT
    if few:
        # Fine enough that no value moves by more than 1/10 of a level.
        low, high = grid[0]
        spacing, kept = 0.1 / max(1.0, -low, high), _KEPT_OF_FEW
    least = _least_ratio(errors, ends, count, largest, grid)
    steps = largest[:, np.newaxis] * _ratios(spacing, least)
    found = errors(steps)
    for number, width in ((kept, spacing), (_FINEST, spacing / 16)):
        starts = _best_apart(steps, found, number, width / 2)
        steps = np.outer(starts, 1 + width * _AROUND).reshape(len(starts), -1)
        found = errors(steps)
    return _at(steps, np.argmin(found, axis=1))


def _best_apart(steps, errors, count, distance):
    """Returns the best step of each row, the best far from it, and so on."""
    found = np.empty((len(steps), count))
    for i in range(count):
        found[:, i] = _at(steps, np.argmin(errors, axis=1))
        near = np.abs(steps - found[:, i : i + 1]) < distance * steps
        errors[near] = np.inf
    return found


def _at(array, columns):
    return np.take_along_axis(array, columns[:, np.newaxis], axis=1)[:, 0]


def _least_ratio(errors, ends, count, largest, grid):
    """Returns the ratio to `largest` below which no row has its best step.

    There, what is cut off the outermost value is more than the whole error at
    `largest`.
    """
    (low, high), offset, p = grid
    spent = errors(largest[:, np.newaxis])[:, 0] * count ** (1.0 / p)
    bounds = [
        (distance - spent) / (levels * largest)
        for distance, levels in (
            (-ends[0], -(low + offset)),
            (ends[1], high + offset),
        )
        if levels > 0
    ]
    ratios = np.where(spent > 0, np.max(bounds, axis=0), 1.0)
    return np.clip(ratios.min(), _SMALLEST_RATIO, 1.0)


def _ratios(spacing, least):
    first = np.floor(np.log(least) / spacing)
    last = np.floor(np.log(_LARGEST_RATIO) / spacing)
    ratios = np.exp(spacing * np.arange(last, first - 1, -1))
    return np.concatenate([ratios, _NEAR_ONE[_NEAR_ONE >= least]])
