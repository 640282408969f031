"""A quantizer integrated numerically in float64: no code of the library."""

import functools

import numpy as np
from scipy import stats

NAMES = ("uniform", "normal", "laplace")
ALL_BITS = tuple(range(1, 9))
SYMMETRIC = ("narrow", "reference", "equation1")
FIXED_GRIDS = (*SYMMETRIC, "full", "unsigned")

# All at standard deviation 1; beyond 40 Laplace has less than 1e-24.
TRUTH = {
    "uniform": stats.uniform(-np.sqrt(3), 2 * np.sqrt(3)),
    "normal": stats.norm(),
    "laplace": stats.laplace(scale=1 / np.sqrt(2)),
}
_ENDS = {"uniform": np.sqrt(3), "normal": 12.0, "laplace": 40.0}


def exists(grid, bits):
    """Whether a grid has more than one level at a bit-width."""
    return bits >= 2 or grid in ("reference", "equation1")


QUANTIZERS = [
    (f"{name}_{grid}_{bits}", name, grid, bits)
    for name in NAMES
    for grid in FIXED_GRIDS
    for bits in (1, 2, 3, 5, 8)
    if exists(grid, bits)
]
"""Test case, distribution, grid, bits; on "unsigned", of absolute values."""


def levels_of(grid, bits):
    """Returns lowest and highest level of a grid, and its offset, in steps."""
    top = 2 ** (bits - 1)
    return {
        "narrow": (-top + 1, top - 1, 0.0),
        "full": (-top, top - 1, 0.0),
        "unsigned": (0, 2 * top - 1, 0.0),
        "reference": (-top, top - 1, 0.5),
        "equation1": (-top, top, 0.0),
    }[grid]


def codes_of(x, step_size, bits, grid):
    """Returns the levels that values round to, in steps."""
    low, high, offset = levels_of(grid, bits)
    nearest = np.floor(x / step_size - offset + 0.5)
    return np.clip(nearest, low, high) + offset


def error(name, step_size, bits, grid="equation1"):
    """Returns E[(X - Q(X))^2] at standard deviation 1."""
    x, p = _mass(name, grid == "unsigned")
    lost = x - step_size * codes_of(x, step_size, bits, grid)
    return np.sum(p * lost**2)


def slope(name, step_size, bits, grid="equation1"):
    """Returns the derivative of `error` by the step size."""
    x, p = _mass(name, grid == "unsigned")
    codes = codes_of(x, step_size, bits, grid)
    return -2 * np.sum(p * codes * (x - step_size * codes))


@functools.cache
def _mass(name, absolute, count=240_000):
    """Returns midpoints of narrow cells and the probability of each."""
    width = 2 * _ENDS[name] / count
    x = -_ENDS[name] + width * (np.arange(count) + 0.5)
    return (np.abs(x) if absolute else x), TRUTH[name].pdf(x) * width
