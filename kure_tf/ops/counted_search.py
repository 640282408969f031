"""The best step sizes of many rows, whose values are counted.

All rows are tried at the same ratios of the step to a row's largest one: at a
few far apart, then at all of those between good ones (`CountedRows`). All
values of a row are looked at only beside its best ratios.
"""

import functools

import numpy as np

from kure_tf.ops.counted_rows import CountedRows
from kure_tf.ops.lp_errors import lp_errors
from kure_tf.ops.sorted_values import FEW
from kure_tf.ops.step_ratios import (
    LARGEST_RATIO,
    SMALLEST_RATIO,
    SPACING,
    least_ratio,
)

_CODES_APART = 0.09  # What a code moves by from a shared ratio to the next one,
_WIDEST = 0.01  # which is no farther than this
_DENSE = (0.1, 1.06)  # between these.
_WHOLE = 1 << 4  # Ratios whose costs are kept as one matrix.
_ROUGH = 1 << 3  # One of so many shared ratios is tried first,
_AT_ONCE = 1 << 2  # and those around so many neighbours of these together,
_NEAR = 1.5  # where the error is this over sqrt(n) of itself above the least.
_SMOOTH = 1 << 11  # Values whose errors are smooth between shared ratios.
_STARTS, _STARTS_LONG = 2, 1  # Ratios at which to look at all values,
_BESIDE, _BESIDE_LONG = (0.7, 0.3), (0.5,)  # and how far beside them.


def best_of_counted(rows, largest, grid) -> np.ndarray:
    """Returns the steps with about the smallest mean squared error.

    NaN where counting is too rough: for rows with values that all steps clip,
    and rows of which fewer than `FEW` values lie farther from zero than half a
    step, since their error has as narrow minima as that of few values.

    Args:
        rows: Float32 array `[rows, n]`, finite.
        largest: Array `[rows]`: the smallest steps that clip nothing, normal
            float32 numbers.
        grid: `(levels, offset, 2)`.
    """
    levels, offset, _ = grid
    counted = CountedRows(rows, largest, levels, offset)
    logs, rough, spacing = _shared_ratios(*levels)
    ends = rows.min(axis=1), rows.max(axis=1)
    rough, found = _errors_far_apart(counted, logs, rough, ends, largest, grid)
    long = rows.shape[1] >= _SMOOTH
    starts = _lowest(
        *_errors_between(counted, logs, rough, found),
        _STARTS_LONG if long else _STARTS,
    )
    for distance in _BESIDE_LONG if long else _BESIDE:
        around, squares = _better(
            rows, starts, distance * spacing, largest, grid
        )
        starts = _vertex(around, squares)[:, np.newaxis]
    steps = np.exp(starts[:, 0]) * largest
    clipped = (ends[0] < (levels[0] + offset - 0.5) * largest) | (
        ends[1] > (levels[1] + offset + 0.5) * largest
    )
    return np.where(clipped | _few_apart(rows, steps), np.nan, steps)


def _few_apart(rows, steps):
    """Returns of which rows all but few values lie within half a step of 0."""
    half = steps[:, np.newaxis] / 2
    every = rows.shape[1] // FEW
    few = np.count_nonzero(np.abs(rows[:, ::every]) > half, axis=1) < FEW // 4
    some = np.flatnonzero(few)
    apart = np.count_nonzero(np.abs(rows[some]) > half[some], axis=1)
    few[some] = apart < FEW
    return few


def _errors_far_apart(counted, logs, rough, ends, largest, grid):
    """Returns which ratios were tried, from the largest on, and the errors."""
    first = 1 + np.searchsorted(-logs[rough], 0.0)  # Down to 1.
    found = _errors_at(counted, logs[rough[:first]])

    def errors(steps):
        return np.sqrt(found[:, -1:]) * steps

    least = least_ratio(errors, ends, counted.size, largest, grid)
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
    best = np.argmin(middle, axis=1)[:, np.newaxis]
    start, least = (
        np.take_along_axis(array, best, axis=1)[:, 0]
        for array in (starts, middle)
    )
    around = np.stack([start - distance, start, start + distance])
    beside = _squares(rows, around[::2].T, largest, grid)
    return around, (beside[:, 0], least, beside[:, 1])


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
        (SMALLEST_RATIO, _DENSE[0], SPACING),
        (*_DENSE, spacing),
        (_DENSE[1], LARGEST_RATIO, SPACING),
    ):
        start, end = np.ceil(np.log([first, last]) / width)
        numbers = np.arange(start, end)
        logs.append(width * numbers)
        rough.append((width > spacing) | (numbers % _ROUGH == 0))
    logs, rough = np.concatenate(logs)[::-1], np.concatenate(rough)[::-1]
    return logs, np.flatnonzero(rough), spacing
