"""The error of a named grid on a known distribution, and its derivatives."""

import numbers

from kure_tf.ops import grid as grids
from kure_tf.ops import quantization_error
from kure_tf.ops.checks import check_positive
from kure_tf.ops.distributions import Distribution

MAX_BITS = 8  # As far as the paper goes, and as its check values.


def mean_squared_error(distribution, step_size, bits, grid="equation1"):
    """Returns E[(X - Q(X))^2] (KURE paper, Eq. 2) of the quantizer `grid`.

    Args:
        distribution: A `Distribution`.
        step_size: In the unit of X, positive; a number or an array.
        bits: M, a whole number in 1..8.
        grid: A `Grid` whose levels do not depend on data, or its name.
            "equation1" is the quantizer of the paper's Eq. 1.

    Returns:
        float64 of the shape of `step_size`, in the unit of X squared. See
        `ops.quantization_error` for the sum.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If bits or a step size are out of range, or the grid is
            unknown, adaptive, or does not exist at that bit-width.
    """
    return quantization_error.mean_squared_error(
        *_checked(distribution, step_size, bits, grid)
    )


def slope(distribution, step_size, bits, grid="equation1"):
    """Returns dMSE/dstep, in the unit of X; arguments as for the MSE."""
    return quantization_error.slope(
        *_checked(distribution, step_size, bits, grid)
    )


def curvature(distribution, step_size, bits, grid="equation1"):
    """Returns d^2 MSE/dstep^2, dimensionless; arguments as for the MSE."""
    return quantization_error.curvature(
        *_checked(distribution, step_size, bits, grid)
    )


def levels_in_steps(bits, grid):
    """Returns `(low, high)` and the offset of a grid, in steps.

    Raises:
        TypeError, ValueError: As `mean_squared_error`.
    """
    grid = grids.get(grid)
    bits = check_bits(bits)
    if grid.adaptive:
        fixed = sorted(g.name for g in grids.GRIDS.values() if not g.adaptive)
        raise ValueError(
            "Expected a grid whose levels do not depend on data, one of "
            f"{fixed}. Received: {grid.name!r}. It becomes 'unsigned' or "
            "'narrow', or those moved by a zero point."
        )
    grid.check_bits(bits)
    return grid.levels(bits), grid.offset


def check_bits(bits):
    """Returns `bits` as an int.

    Raises:
        TypeError: If it is not a whole number.
        ValueError: If it is not in 1..8.
    """
    if isinstance(bits, bool) or not isinstance(bits, numbers.Integral):
        raise TypeError(
            "Expected bits to be a whole number in 1..8. "
            f"Received: {bits!r} ({type(bits).__name__})."
        )
    if not 1 <= bits <= MAX_BITS:
        raise ValueError(
            f"Expected bits in 1..{MAX_BITS}, the range of the theory. "
            f"Received: {bits}. For a tensor at other bit-widths, search the "
            "step size: kure_tf.ops.step_search.best_step_size."
        )
    return int(bits)


def check_distribution(distribution):
    """Raises a TypeError for what is no distribution (a name, a class)."""
    if not isinstance(distribution, Distribution):
        raise TypeError(
            "Expected a distribution, such as Normal() or "
            f"Uniform(absolute=True). Received: {distribution!r}."
        )


def _checked(distribution, step_size, bits, grid):
    check_distribution(distribution)
    levels, offset = levels_in_steps(bits, grid)
    step_size = check_positive("the step size", step_size)
    return distribution, step_size, levels, offset
