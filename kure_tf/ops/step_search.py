"""The step sizes with the smallest error, of many rows of values at once.

The errors of short rows are computed value by value, of many rows and step
sizes in one pass, by XLA where there are many (`mean_squared_errors`); many
rows are counted onto nodes that they share (`CountedRows`); a long row is
sorted first (`SortedValues`).
"""

import functools

import numpy as np

from kure_tf.ops.counted_rows import (
    MOST_LEVELS,
    NODES,
    CountedRows,
)
from kure_tf.ops.lp_mean import lp_mean
from kure_tf.ops.sorted_values import FEW, SortedValues
from kure_tf.ops.squared_errors import (
    FEWEST,
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
_SHARED = 1 << 4  # Rows from which on it pays to try ratios that they share,
_COUNTED = 400  # and to count their values if they are so many,
_LONGEST_COUNTED = 1 << 15  # but not more.
_CODES_APART = 0.09  # What a code moves by from a shared ratio to the next one,
_WIDEST = 0.01  # which is no farther than this
_DENSE = (0.1, 1.06)  # between these.
_WHOLE = 1 << 4  # Ratios whose costs are kept as one matrix.
_ROUGH = 1 << 3  # One of so many shared ratios is tried first,
_AT_ONCE = 1 << 2  # and those around so many neighbours of these together,
_NEAR = 2.5  # where the error is this over sqrt(n) of itself above the least.
_SMOOTH = 1 << 11  # Values whose errors are smooth between shared ratios.
_BESIDE, _BESIDE_LONG = (0.7, 0.3), (0.5,)  # Where to look, in that distance.
_SMALLEST = 1e-30  # A step of which float32 holds the inverse, and more.
_TILE = 1 << 4  # Values of a row to copy at a time, where they lie apart.


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
    compiled = p == 2 and rows.size * count >= _MUCH_WORK and count >= FEWEST
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
    out. A row of few distinct values gets a denser search. Of 16 rows and more
    of 400 to 32,768 values each, values are counted, if they are not much the
    same: the mean squared error is on average within a ten-thousandth, and at 8
    bits of one row in a hundred more than a thousandth above that. Rows are
    searched side by side on the threads that TensorFlow may use.

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
    for search, some, least in (
        (_best_of_counted, np.flatnonzero(counted), NODES),
        (_best_of_short, others[~alone], max(_SIDE_BY_SIDE, 4 * level_count)),
    ):
        size = int(max(rows.shape[1], least))
        blocks = [some[part] for part in _blocks(some.size, size, _ROWS)]
        in_threads(functools.partial(search_some, search), blocks)
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


def _best_of_counted(rows, largest, grid):
    """Finds the best ratios to `largest`, of those that all rows share.

    Their errors are those of counted values. At the two best ones, and beside
    the better of them, all values are looked at.
    """
    levels, offset, _ = grid
    counted = CountedRows(rows, largest, levels, offset)
    logs, rough, spacing = _shared_ratios(*levels)
    rough, found = _errors_far_apart(counted, logs, rough, rows, largest, grid)
    starts = _lowest(*_errors_between(counted, logs, rough, found), 2)
    long = rows.shape[1] >= _SMOOTH
    for distance in _BESIDE_LONG if long else _BESIDE:
        around, squares = _better(
            rows, starts, distance * spacing, largest, grid
        )
        starts = _vertex(around, squares)[:, np.newaxis]
    return np.exp(starts[:, 0]) * largest


def _errors_far_apart(counted, logs, rough, rows, largest, grid):
    """Returns which ratios were tried, from the largest on, and the errors."""
    first = 1 + np.searchsorted(-logs[rough], 0.0)  # Down to 1.
    found = _errors_at(counted, logs[rough[:first]])

    def errors(steps):
        return np.sqrt(found[:, -1:]) * steps

    ends = rows.min(axis=1), rows.max(axis=1)
    least = _least_ratio(errors, ends, rows.shape[1], largest, grid)
    # Matrices of costs are kept: whole ones, for other rows.
    below = np.count_nonzero(logs[rough[first:]] > np.log(least))
    last = first + _WHOLE * (1 + below // _WHOLE)
    more = _errors_at(counted, logs[rough[first:last]])
    return rough[:last], np.concatenate([found, more], axis=1)


def _errors_between(counted, logs, rough, found):
    """Returns all ratios, as logarithms, and the errors of the rows there.

    A row is looked at between ratios that cost it hardly more than its best.
    Elsewhere its error is that of the next larger ratio tried.
    """
    near = found <= found.min(axis=1, keepdims=True) * (
        1 + _NEAR / np.sqrt(counted.size)
    )
    widths = np.diff(rough, append=rough[-1] + 1)
    errors = np.repeat(found, widths, axis=1)
    for first in np.arange(0, len(rough) - 1, _AT_ONCE):
        some = rough[first : first + _AT_ONCE + 1]
        part = slice(some[0], some[-1])
        rows = near[:, first : first + len(some)].any(axis=1)
        if rows.any() and part.stop - part.start >= len(some):
            errors[rows, part] = _errors_at(counted, logs[part], rows)
    return logs[: errors.shape[1]], errors


def _errors_at(counted, logs, rows=None):
    return counted.mean_squared_errors(tuple(np.exp(logs)), rows)


def _better(rows, starts, distance, largest, grid):
    """Returns the best of each row's starts with what is beside, and errors."""
    middle = _squares(rows, starts, largest, grid)
    best = np.argmin(middle, axis=1)
    start = _at(starts, best)
    around = np.stack([start - distance, start, start + distance])
    beside = _squares(rows, around[::2].T, largest, grid)
    return around, (beside[:, 0], _at(middle, best), beside[:, 1])


def _squares(rows, logs, largest, grid):
    """Returns the squared errors at some ratios, by their logarithms."""
    steps = np.exp(logs) * largest[:, np.newaxis]
    return lp_errors(rows, steps, *grid) ** 2


def _lowest(x, y, count):
    """Returns where the lowest minima of each row of y are, `[rows, count]`."""
    inner = y[:, 1:-1]
    minimum = (inner <= y[:, :-2]) & (inner <= y[:, 2:])
    values = np.where(minimum, inner, np.inf)
    at = np.empty((len(y), count), int)
    for i in range(count):
        at[:, i] = values.argmin(axis=1)
        np.put_along_axis(values, at[:, i : i + 1], np.inf, axis=1)
    beside = [at, at + 1, at + 2]
    return _vertex(
        x[beside], [np.take_along_axis(y, some, axis=1) for some in beside]
    )


def _vertex(x, y):
    """Returns where the parabolas through three points are lowest.

    It lies between the points: on the lowest, if that is an outer one.
    """
    (x0, x1, x2), (y0, y1, y2) = x, y
    left, right = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
    bend = (right - left) / (x2 - x0)
    vertex = (x0 + x1 - left / np.where(bend > 0, bend, np.inf)) / 2
    vertex = np.clip(vertex, np.minimum(x0, x2), np.maximum(x0, x2))
    return np.where(bend > 0, vertex, np.where(y0 < y2, x0, x2))


@functools.lru_cache(maxsize=16)
def _shared_ratios(low, high):
    """Returns ratios, which to try first, and how far most are apart.

    The ratios are logarithms, the largest first. One in `_ROUGH` is tried
    first, 1 among them, and all of those far apart.

    They are close where the best are likely: so that no code moves by more than
    `_CODES_APART`.
    """
    spacing = min(_WIDEST, _CODES_APART / max(-low, high))
    logs, rough = [], []
    for first, last, width in (
        (_SMALLEST_RATIO, _DENSE[0], _SPACING),
        (*_DENSE, spacing),
        (_DENSE[1], _LARGEST_RATIO, _SPACING),
    ):
        start, end = np.ceil(np.log([first, last]) / width)
        numbers = np.arange(start, end)
        logs.append(width * numbers)
        rough.append((width > spacing) | (numbers % _ROUGH == 0))
    logs, rough = np.concatenate(logs)[::-1], np.concatenate(rough)[::-1]
    return logs, np.flatnonzero(rough), spacing


def _search(errors, ends, count, largest, grid, moved):
    """Tries ratios of any spacing, or of one that moves codes by so much."""
    spacing, kept = _SPACING, _KEPT
    if moved:
        low, high = grid[0]
        spacing, kept = moved / max(1.0, -low, high), _KEPT_OF_FEW
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
        np.copyto(errors, np.inf, where=near)
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
