"""Which ratios of a step size to the largest one are worth a look."""

import numpy as np

# Values that lie on a grid of their own may leave out every second level: the
# best step is then close to twice the smallest one that clips nothing.
LARGEST_RATIO = 2.0
SMALLEST_RATIO = 0.004
SPACING = 0.05
"""Neighbouring steps differ by 5 %, where nothing tells more."""


def least_ratio(errors, ends, count, largest, grid) -> float:
    """Returns the ratio to `largest` below which no row has its best step.

    There, what is cut off the outermost value is more than the whole error at
    `largest`.

    Args:
        errors: Function from steps `[rows, s]` to their Lp errors.
        ends: The rows' smallest and largest values, two arrays `[rows]`.
        count: How many values a row has.
        largest: The largest steps `[rows]`.
        grid: `(levels, offset, p)`.
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
    return np.clip(ratios.min(), SMALLEST_RATIO, 1.0)
