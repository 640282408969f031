"""The step size with the smallest error, and what deviating from it costs."""

import dataclasses
import functools
import math

import numpy as np
from scipy import optimize

from kure_tf.ops import grid as grids
from kure_tf.ops.checks import check_numbers
from kure_tf.ops.distributions import Distribution
from kure_tf.paper.theory.error import (
    check_bits,
    check_distribution,
    curvature,
    levels_in_steps,
    mean_squared_error,
    slope,
)

# Clipping ranges to look between, in standard deviations: a Laplace
# distribution at 8 bits has its best at 7.
_SMALLEST, _LARGEST = 0.1, 40.0
_POINTS = 240


@dataclasses.dataclass(frozen=True)
class Optimum:
    """The optimal quantizer of a distribution.

    Attributes:
        distribution: Which one.
        bits: M.
        grid: Name of the grid.
        step_size: The step with the smallest MSE, in the unit of X.
        clipping_range: `step_size * extent` of the grid; on "equation1" the
            largest level, tau = 2^(M-1) steps.
        mean_squared_error: At `step_size`, in the unit of X squared.
        curvature: d^2 MSE/dstep^2 at `step_size`, dimensionless.
    """

    distribution: Distribution
    bits: int
    grid: str
    step_size: float
    clipping_range: float
    mean_squared_error: float
    curvature: float

    @property
    def sensitivity(self):
        """Gamma / epsilon^2 to second order (Eq. 4): half the curvature."""
        return self.curvature / 2

    @property
    def signal_to_noise(self):
        """E[X^2] over the MSE, in decibels."""
        power = self.distribution.total_moments[2]
        return 10 * math.log10(power / self.mean_squared_error)


def optimum(distribution, bits, grid="equation1") -> Optimum:
    """Returns the optimal step size with its MSE and curvature.

    The exact slope is brought to zero; no approximation enters. For a uniform
    distribution on a symmetric grid of n levels the optimum is 2 a / n, the
    MSE a^2 / (3 n^2) and the curvature (n - 1) / 2: on "equation1"
    2 a / (2^M + 1) and 2^(M-1). (KURE paper, Eq. 6 and 8, in corrected form:
    see `theory.paper`.)

    Args:
        distribution: A `Distribution`. "unsigned" is a grid for
            distributions with `absolute=True`; others it clips at zero.
        bits, grid: As for `mean_squared_error`.

    Raises:
        TypeError, ValueError: As `mean_squared_error`.

    Example:
        >>> from kure_tf.paper.theory import Uniform
        >>> round(optimum(Uniform.on(1.0), 2, "equation1").step_size, 6)
        0.4
    """
    check_distribution(distribution)
    grid, bits = grids.get(grid), check_bits(bits)
    unit = distribution.standard_deviation
    standard = dataclasses.replace(
        distribution,
        standard_deviation=1.0,
        location=distribution.location / unit,
    )
    step, mse, second = _standard_optimum(standard, bits, grid)
    return Optimum(
        distribution=distribution,
        bits=bits,
        grid=grid.name,
        step_size=step * unit,
        clipping_range=step * unit * float(grid.extent(bits)),
        mean_squared_error=mse * unit**2,
        curvature=second,
    )


def sensitivity(distribution, epsilon, bits, grid="equation1"):
    """Returns Gamma(X, epsilon), exactly (KURE paper, Eq. 3).

        Gamma = |MSE(best step + epsilon) - MSE(best step)|

    The paper takes |step - best step| = epsilon without a side. The sides
    differ (a step too small clips), so here `epsilon` has a sign: positive
    for a step too large.

    Args:
        distribution, bits, grid: As for `mean_squared_error`.
        epsilon: In the unit of X, above minus the best step; a number or an
            array.

    Returns:
        float64 of the shape of `epsilon`, in the unit of X squared.

    Raises:
        TypeError, ValueError: As `mean_squared_error`; and a ValueError if
            `epsilon` leaves no positive step.
    """
    best = optimum(distribution, bits, grid)
    step_size = best.step_size + check_numbers("epsilon", epsilon)
    if not np.all(step_size > 0):
        raise ValueError(
            "Expected epsilon above minus the optimal step size, "
            f"{-best.step_size:.6g}, so that the step stays positive. "
            f"Received: {epsilon!r}."
        )
    mse = mean_squared_error(distribution, step_size, bits, grid)
    return np.abs(mse - best.mean_squared_error)


def second_order_sensitivity(distribution, epsilon, bits, grid="equation1"):
    """Returns Gamma(X, epsilon) to second order (KURE paper, Eq. 4).

        Gamma ~ |d^2 MSE/dstep^2 at the best step| epsilon^2 / 2

    The curvature is the exact one of the quantizer. For a uniform
    distribution the approximation is good only while epsilon is far below
    step / 2^M: beyond, a step too large costs much less.

    Arguments, result and errors are those of `sensitivity`; the sign of
    `epsilon` does not matter.
    """
    best = optimum(distribution, bits, grid)
    return best.sensitivity * check_numbers("epsilon", epsilon) ** 2


@functools.lru_cache(maxsize=1024)
def _standard_optimum(distribution, bits, grid):
    """Returns step size, MSE and curvature at standard deviation 1."""
    levels, offset = levels_in_steps(bits, grid)
    extent = max(abs(level + offset) for level in levels)
    ends = np.array([_SMALLEST, _LARGEST]) / extent
    for _ in range(2):  # Coarse, then fine: the error need not be convex.
        steps = np.geomspace(*ends, _POINTS)
        errors = mean_squared_error(distribution, steps, bits, grid)
        best = int(np.clip(np.argmin(errors), 1, _POINTS - 2))
        ends = steps[best - 1], steps[best + 1]
    step = optimize.brentq(
        lambda step: slope(distribution, step, bits, grid), *ends, xtol=1e-14
    )
    return (
        float(step),
        float(mean_squared_error(distribution, step, bits, grid)),
        float(curvature(distribution, step, bits, grid)),
    )
