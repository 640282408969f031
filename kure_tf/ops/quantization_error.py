"""The mean squared error of a uniform quantizer and its two derivatives.

Exact for any step size, of a distribution as of a sample: bins are summed one
by one, where Banner et al. (2019, Eq. 5 and 7) and the KURE paper (Eq. 9,
A.10) take the density as constant in each.
"""

import numpy as np


def mean_squared_error(values, step_sizes, levels, offset=0.0):
    """Returns E[(X - Q(X))^2] (KURE paper, Eq. 2) for each step size.

    With c_k the levels, P_k and S_k the probability and the first moment of
    the bin that rounds to c_k,

        MSE = E[X^2] + sum c_k (c_k P_k - 2 S_k)

    Args:
        values: What X is: a `Distribution`, or a tensor's `SortedValues`.
        step_sizes: In the unit of X, positive; a number or an array.
        levels: `(low, high)`, whole numbers: the levels in steps.
        offset: Shift of the levels in steps.

    Returns:
        float64 of the shape of `step_sizes`, in the unit of X squared. The
        sum cancels: the absolute error is about 1e-15 E[X^2].
    """
    codes, steps, mass, moment = _bins(values, step_sizes, levels, offset)
    centers = codes * steps[..., None]
    count, _, squares = values.total_moments
    error = squares + np.sum(centers * (centers * mass - 2 * moment), axis=-1)
    return np.maximum(error, 0.0) / count


def slope(distribution, step_sizes, levels, offset=0.0):
    """Returns dMSE/dstep, in the unit of X; arguments as for the MSE.

        slope = 2 sum u_k (u_k step P_k - S_k),    u_k = c_k / step

    The bins move with the step, but at an edge both levels are equally far,
    so that this adds nothing.
    """
    codes, steps, mass, moment = _bins(distribution, step_sizes, levels, offset)
    return 2 * (steps * (mass @ codes**2) - moment @ codes)


def curvature(distribution, step_sizes, levels, offset=0.0):
    """Returns d^2 MSE/dstep^2, dimensionless; arguments as for the MSE.

    With f the density and v_j = u_j + 1/2 the edges between levels in steps,

        curvature = 2 sum u_k^2 P_k - 2 step sum v_j^2 f(v_j step)

    Where an edge lies on the end of a uniform distribution the curvature
    jumps, and the value is that of a step slightly larger.
    """
    codes, steps, mass, _ = _bins(distribution, step_sizes, levels, offset)
    edges = codes[:-1] + 0.5
    density = distribution.density(edges * steps[..., None])
    return 2 * (mass @ codes**2) - 2 * steps * (density @ edges**2)


def _bins(values, step_sizes, levels, offset):
    """Returns levels in steps, steps, and mass and moment of each bin."""
    low, high = levels
    codes = np.arange(low, high + 1) + offset
    steps = np.asarray(step_sizes, np.float64)
    below = values.moments_below((codes[:-1] + 0.5) * steps[..., None])
    mass, moment = map(_differences, below, values.total_moments)
    return codes, steps, mass, moment


def _differences(below, total):
    """Returns what lies between the edges, and beyond the outer ones."""
    first = np.zeros((*below.shape[:-1], 1))
    return np.diff(np.concatenate([first, below, first + total], axis=-1))
