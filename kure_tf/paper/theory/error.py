"""The mean squared error of a uniform quantizer and its two derivatives.

Exact for any step size: bins are integrated one by one, in closed form, where
the paper takes the density as constant in each bin (Eq. 9, A.10).
"""

import numpy as np

from kure_tf.ops import grid as grids
from kure_tf.paper.theory.checks import check_bits, check_positive
from kure_tf.paper.theory.distributions import check_distribution


def mean_squared_error(distribution, step_size, bits, grid="equation1"):
    """Returns E[(X - Q(X))^2] (KURE paper, Eq. 2) of the quantizer `grid`.

    With u_k the levels in steps, P_k and S_k the probability and the first
    moment of the bin that rounds to u_k,

        MSE = E[X^2] - 2 step sum u_k S_k + step^2 sum u_k^2 P_k

    Args:
        distribution: A `Distribution`.
        step_size: In the unit of X, positive; a number or an array.
        bits: M, a whole number in 1..8.
        grid: A `Grid` whose levels do not depend on data, or its name.
            "equation1" is the quantizer of the paper's Eq. 1.

    Returns:
        float64 of the shape of `step_size`, in the unit of X squared. The
        sum cancels: the absolute error is about 1e-15 E[X^2].

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If bits or a step size are out of range, or the grid is
            unknown, adaptive, or does not exist at that bit-width.
    """
    codes, _, step_size, mass, moment, _ = _bins(
        distribution, step_size, bits, grid
    )
    mse = (
        distribution.total_moments[2]
        - 2 * step_size * (moment @ codes)
        + step_size**2 * (mass @ codes**2)
    )
    return np.maximum(mse, 0.0)


def slope(distribution, step_size, bits, grid="equation1"):
    """Returns dMSE/dstep, in the unit of X; arguments as for the MSE.

        slope = -2 sum u_k (S_k - u_k step P_k)

    The bins move with the step, but at an edge both levels are equally far,
    so that this adds nothing.
    """
    codes, _, step_size, mass, moment, _ = _bins(
        distribution, step_size, bits, grid
    )
    return 2 * (step_size * (mass @ codes**2) - moment @ codes)


def curvature(distribution, step_size, bits, grid="equation1"):
    """Returns d^2 MSE/dstep^2, dimensionless; arguments as for the MSE.

    With f the density and v_j = u_j + 1/2 the edges between levels in steps,

        curvature = 2 sum u_k^2 P_k - 2 step sum v_j^2 f(v_j step)

    Where an edge lies on the end of a uniform distribution the curvature
    jumps, and the value is that of a step slightly larger.
    """
    codes, edges, step_size, mass, _, density = _bins(
        distribution, step_size, bits, grid
    )
    return 2 * (mass @ codes**2) - 2 * step_size * (density @ edges**2)


def levels_in_steps(bits, grid):
    """Returns the levels of a grid in steps: `k + offset`, ascending.

    Raises:
        TypeError: If `bits` is not a whole number.
        ValueError: As `mean_squared_error`.
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
    low, high = grid.levels(bits)
    return np.arange(low, high + 1) + grid.offset


def _bins(distribution, step_size, bits, grid):
    """Returns what is known of each bin and edge, for each step size."""
    check_distribution(distribution)
    codes = levels_in_steps(bits, grid)
    edges = codes[:-1] + 0.5
    step_size = check_positive("the step size", step_size)
    x = step_size[..., None] * edges
    mass, moment, _ = _moments_of_bins(distribution, x)
    return codes, edges, step_size, mass, moment, distribution.density(x)


def _moments_of_bins(distribution, edges):
    below = distribution.moments_below(edges)
    shape = (*below.shape[:-1], 1)
    total = distribution.total_moments.reshape(-1, *[1] * edges.ndim)
    ends = np.zeros(shape), np.broadcast_to(total, shape)
    return np.diff(np.concatenate([ends[0], below, ends[1]], axis=-1))
