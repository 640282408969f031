"""The step sizes with the smallest error, of many rows of values at once.

The errors of short rows are computed value by value, of many rows and step
sizes in one pass (`lp_errors`); many longer rows are counted onto nodes that
they share (`best_of_counted`); a long row alone is sorted first
(`SortedValues`).
"""

import functools

import numpy as np

from kure_tf.ops.counted_rows import MOST_LEVELS, NODES
from kure_tf.ops.counted_search import best_of_counted
from kure_tf.ops.lp_errors import blocks, lp_errors
from kure_tf.ops.sorted_values import FEW, SortedValues
from kure_tf.ops.step_ratios import LARGEST_RATIO, SPACING, least_ratio
from kure_tf.ops.threads import in_threads

_NEAR_ONE = np.linspace(0.9, 1.1, 41)  # Bounded tensors have sharp minima here.
_AROUND = np.arange(-16, 16) / 16.0
_KEPT, _KEPT_OF_FEW = 3, 5  # Steps that are looked at more closely,
_FINEST = 2  # and those that are once more.
_LONG = 1 << 10  # Values in a row from which on sorting them may pay,
_VALUES_PER_LEVEL = 1 << 6  # if there are so many for each level.
_ROWS = 1 << 19  # Numbers of the rows that are searched at a time,
_COUNTED_ROWS = (1 << 20, 1 << 21)  # fewest and most of those counted,
_PARTS = 4  # between these so that they come in so many parts.
_FEWEST = 1 << 9  # What a row costs beside its values, in numbers.
_BINNED_LEVELS = 1 << 9  # Bins are narrow beside so many levels.
_SHARED = 1 << 4  # Rows from which on it pays to try ratios that they share,
_COUNTED = 400  # and to count their values if they are so many,
_LONGEST_COUNTED = 1 << 15  # but not more.
_SMALLEST = 1e-30  # A step of which float32 holds the inverse, and more.
_TILE = 1 << 4  # Values of a row to copy at a time, where they lie apart.


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
    out. A row of few distinct values gets a denser search. Of 16 rows and more
    of 400 to 32,768 values each, values are counted, if they are not much the
    same: the mean squared error is on average within two ten-thousandths, and
    at 8 bits of one row in a hundred more than a thousandth above that. Rows of
    which a few values lie far from the others are searched like short ones.
    Rows are searched side by side on the threads that TensorFlow may use.

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
    counted = np.zeros(len(rows), bool)
    if p == 2 and level_count <= MOST_LEVELS:
        counted = _better_counted(rows) & (largest > _SMALLEST)
    others = np.flatnonzero(~counted)
    alone = _better_alone(rows, others, level_count)

    def search_one(row):
        best[row : row + 1] = _best_of_one(rows[row], largest[row], grid)

    def search_some(search, some):
        best[some] = search(_side_by_side(rows, some), largest[some], grid)

    in_threads(search_one, others[alone])

    def search_all(search, some, least, at_once):
        size = int(max(rows.shape[1], least))
        parts = [some[part] for part in blocks(some.size, size, at_once)]
        in_threads(functools.partial(search_some, search), parts)

    at_once = np.clip(rows.size // _PARTS, *_COUNTED_ROWS)
    search_all(best_of_counted, np.flatnonzero(counted), NODES, at_once)
    # Each value of what is not long, or was counted too roughly.
    others = np.union1d(
        others[~alone], np.flatnonzero(counted & np.isnan(best))
    )
    search_all(_best_of_short, others, max(_FEWEST, 4 * level_count), _ROWS)
    return best


def _side_by_side(rows, some):
    """Returns some rows in one piece: values of a row may lie far apart."""
    if some[-1] - some[0] < len(some):
        some = slice(some[0], some[-1] + 1)
    values = np.empty((len(rows[some]), rows.shape[1]), np.float32)
    for first in range(0, rows.shape[1], _TILE):
        part = slice(first, first + _TILE)
        values[:, part] = rows[some, part]
    return values


def _better_counted(rows):
    """Returns which rows to count: if many, and spread over all values."""
    count, size = rows.shape
    if count < _SHARED or not _COUNTED <= size <= _LONGEST_COUNTED:
        return np.zeros(count, bool)
    start = np.sort(rows[:, : FEW + FEW // 2], axis=1)
    repeated = np.count_nonzero(start[:, 1:] == start[:, :-1], axis=1)
    return repeated < FEW // 8


def _better_alone(rows, some, level_count):
    """Returns which of some rows are long, or have few values."""
    count = rows.shape[1]
    if count <= FEW:
        return np.zeros(len(some), bool)
    if count > max(_LONG, _VALUES_PER_LEVEL * level_count):
        return np.ones(len(some), bool)
    start = np.sort(rows[some, : 4 * FEW], axis=1)
    return np.count_nonzero(np.diff(start, axis=1), axis=1) < FEW


def _best_of_one(row, largest, grid):
    levels = grid[0]
    few_levels = levels[1] - levels[0] <= _BINNED_LEVELS
    prepared = SortedValues(row, binned=few_levels)

    def errors(steps):
        return prepared.lp_errors(steps[0], *grid)[np.newaxis]

    moved = 0.1 if prepared.has_few_values else None
    ends = prepared.values[[0, -1], np.newaxis]
    return _search(errors, ends, row.size, largest[np.newaxis], grid, moved)


def _best_of_short(rows, largest, grid):
    def errors(steps):
        return lp_errors(rows, steps, *grid)

    ends = rows.min(axis=1), rows.max(axis=1)
    count = rows.shape[1]
    moved = 0.2 if count <= FEW else None
    return _search(errors, ends, count, largest, grid, moved)


def _search(errors, ends, count, largest, grid, moved):
    """Tries ratios of any spacing, or of one that moves codes by so much."""
    spacing, kept = SPACING, _KEPT
    if moved:
        low, high = grid[0]
        spacing, kept = moved / max(1.0, -low, high), _KEPT_OF_FEW
    ratios = _ratios(spacing, least_ratio(errors, ends, count, largest, grid))
    steps = largest[:, np.newaxis] * ratios
    starts = _best_ratios(ratios, errors(steps), kept, spacing / 2)
    starts *= largest[:, np.newaxis]
    steps = _around(starts, spacing)
    starts = _best_apart(steps, errors(steps), _FINEST, spacing / 32)
    steps = _around(starts, spacing / 16)
    best = np.argmin(errors(steps), axis=1)
    return np.take_along_axis(steps, best[:, np.newaxis], axis=1)[:, 0]


def _around(starts, width):
    """Returns 32 steps around each start of a row, `[rows, 32 starts]`."""
    return np.outer(starts, 1 + width * _AROUND).reshape(len(starts), -1)


def _best_ratios(ratios, errors, count, distance):
    """Returns the best ratio of each row, the best far from it, and so on.

    All rows share the ratios, in ascending order; their errors are overwritten.
    """
    reach = np.searchsorted(ratios, ratios * (1 + distance)) - np.arange(
        len(ratios)
    )
    window = np.arange(-reach.max(), reach.max() + 1)
    found = np.empty((len(errors), count))
    for i in range(count):
        best = np.argmin(errors, axis=1)[:, np.newaxis]
        found[:, i : i + 1] = ratios[best]
        beside = np.clip(best + window, 0, len(ratios) - 1)
        near = np.abs(ratios[beside] - ratios[best]) < distance * ratios[beside]
        old = np.take_along_axis(errors, beside, axis=1)
        np.put_along_axis(errors, beside, np.where(near, np.inf, old), axis=1)
    return found


def _best_apart(steps, errors, count, distance):
    """Returns the best step of each row, the best far from it, and so on."""
    found = np.empty((len(steps), count))
    for i in range(count):
        best = np.argmin(errors, axis=1)[:, np.newaxis]
        found[:, i : i + 1] = np.take_along_axis(steps, best, axis=1)
        near = np.abs(steps - found[:, i : i + 1]) < distance * steps
        np.copyto(errors, np.inf, where=near)
    return found


def _ratios(spacing, least):
    """Returns the ratios to try, in ascending order."""
    first = np.floor(np.log(least) / spacing)
    last = np.floor(np.log(LARGEST_RATIO) / spacing)
    ratios = np.exp(spacing * np.arange(first, last + 1))
    return np.union1d(ratios, _NEAR_ONE[_NEAR_ONE >= least])
