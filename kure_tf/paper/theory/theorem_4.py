"""What holds of Theorem 4: the uniform distribution against another one."""

import dataclasses

import numpy as np
from scipy import optimize

from kure_tf.ops import grid as grids
from kure_tf.ops.checks import check_positive
from kure_tf.ops.distributions import Uniform, get
from kure_tf.paper.theory.error import mean_squared_error
from kure_tf.paper.theory.optimum import Optimum, optimum

# Where break-even ratios are looked for, outwards from the optimum.
_TOO_SMALL = np.linspace(1.0, 0.05, 200)
_TOO_LARGE = 1.0 + np.geomspace(5e-4, 1.0, 300)


@dataclasses.dataclass(frozen=True)
class Theorem4:
    """The uniform distribution against a rival of equal variance 1.

    A *cost* is MSE(ratio x best step) - MSE(best step), each distribution
    with its own best step; ratios below 1 are steps that are too small.

    Attributes:
        uniform: Its `Optimum`.
        rival: That of the other distribution.
        ratios: The step ratios asked for.
        uniform_costs: One per ratio.
        rival_costs: One per ratio.
        equal_mse_ratio: Down to this ratio (below 1) the uniform's MSE stays
            the smaller one, both steps off by it. None if down to 0.05.
        equal_cost_ratio: From this ratio (above 1) up to 2, a step that is
            too large costs the uniform less. None if it costs it more at 2
            (as at one bit).
    """

    uniform: Optimum
    rival: Optimum
    ratios: tuple[float, ...]
    uniform_costs: tuple[float, ...]
    rival_costs: tuple[float, ...]
    equal_mse_ratio: float | None
    equal_cost_ratio: float | None

    @property
    def mse_ratio(self):
        """How many times smaller the uniform's MSE is, both at their best."""
        return self.rival.mean_squared_error / self.uniform.mean_squared_error

    @property
    def curvature_ratio(self):
        """Curvature of the uniform over that of the rival: Gamma_U/Gamma_N.

        Theorem 4 says below 1. It is above 1 for every M on every grid but
        "full".
        """
        return self.uniform.curvature / self.rival.curvature


def theorem_4(
    bits, *, rival="normal", ratios=(0.7, 0.8, 1.25, 1.5), grid="equation1"
) -> Theorem4:
    """Returns Theorem 4 of the KURE paper (Eq. 7) in corrected form.

    Printed: Gamma(X_U, epsilon) < Gamma(X_N, epsilon) for any epsilon > 0.
    Its proof rests on Eq. 8 and 10 (see `theory.paper` for both). What holds,
    at equal variance, on the grid of Eq. 1 and against the normal:

    * The uniform's MSE at its optimum is smaller: 1.7 times at 1 bit, 2.1,
      2.5, 3.0, 3.6, 4.3, 5.0, 5.8 times at 2, 3, .. 8 bits.
    * Its curvature there is *larger*: 2^(M-1) against 0.68 .. 3.0. For small
      deviations the order of Theorem 4 is the reverse.
    * A step that is too small costs it more: it clips where the uniform has
      as much mass as anywhere.
    * A step that is too large costs it less from a ratio on that comes closer
      to 1 as bits grow (`equal_cost_ratio`: 1.59 at 2 bits, 1.13 at 4, 1.02
      at 8; never at 1 bit).

    The other symmetric grids are alike. On "full", which has one level more
    on one side, the uniform's curvature is 1/2 at every M, smaller than that
    of the normal; that helps deviations up to about 2^-M of the step only.

    Args:
        bits: M, a whole number in 1..8.
        rival: "normal" or "laplace".
        ratios: Steps over the best step, positive.
        grid: A `Grid` or its name, as for `mean_squared_error`. On
            "unsigned" both distributions are those of |X|.

    Raises:
        TypeError, ValueError: As `mean_squared_error`; and a ValueError if
            `rival` is no name of a distribution or "uniform" itself.

    Example:
        >>> found = theorem_4(4, ratios=[1.25])
        >>> round(found.mse_ratio, 2), round(found.curvature_ratio, 2)
        (3.01, 5.26)
    """
    rival = get(rival)
    if rival is Uniform:
        raise ValueError(
            "Expected a rival of the uniform distribution, 'normal' or "
            "'laplace'. Received: 'uniform'."
        )
    absolute = grids.get(grid) is grids.UNSIGNED
    ours = optimum(Uniform(absolute=absolute), bits, grid)
    theirs = optimum(rival(absolute=absolute), bits, grid)
    ratios = check_positive("ratios", list(ratios))

    def mse_gap(ratio):
        return _mse(ours, ratio) - _mse(theirs, ratio)

    def cost_gap(ratio):
        return _cost(ours, ratio) - _cost(theirs, ratio)

    return Theorem4(
        uniform=ours,
        rival=theirs,
        ratios=tuple(ratios.tolist()),
        uniform_costs=tuple(_cost(ours, ratios).tolist()),
        rival_costs=tuple(_cost(theirs, ratios).tolist()),
        equal_mse_ratio=_first_above_zero(mse_gap, _TOO_SMALL),
        equal_cost_ratio=_last_above_zero(cost_gap, _TOO_LARGE),
    )


def _mse(best, ratio):
    return mean_squared_error(
        best.distribution, ratio * best.step_size, best.bits, best.grid
    )


def _cost(best, ratio):
    return _mse(best, ratio) - best.mean_squared_error


def _first_above_zero(function, points):
    """Returns the first point at which `function` is above zero, or None."""
    (above,) = np.nonzero(function(points) > 0)
    if not above.size:
        return None
    return _between(function, points, above[0] - 1, above[0])


def _last_above_zero(function, points):
    """Returns where `function` falls below zero for good.

    None if it is above zero at the last point; the first point if at none.
    """
    (above,) = np.nonzero(function(points) > 0)
    if not above.size:
        return float(points[0])
    if above[-1] == len(points) - 1:
        return None
    return _between(function, points, above[-1], above[-1] + 1)


def _between(function, points, first, second):
    return float(optimize.brentq(function, points[first], points[second]))
