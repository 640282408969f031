"""Error and curvature against the step size: the lines of Figure 1."""

import dataclasses

import numpy as np

from kure_tf.ops import fake_quantize
from kure_tf.ops import grid as grids
from kure_tf.paper import theory
from kure_tf.paper.theory import paper

_RATIOS = np.linspace(0.3, 2.5, 881)  # Steps over the best step.
_SIMULATED = slice(0, None, 40)  # Every 40th of them.


@dataclasses.dataclass(frozen=True)
class StepCurves:
    """One distribution at one bit-width, for many step sizes.

    Attributes:
        best: Its optimum.
        step_sizes: `[n]`, in standard deviations.
        mean_squared_error: `[n]`, exact.
        curvature: `[n]`, exact.
        paper: `[n]`: Eq. 5 or 9 where it holds, else NaN; None for a
            distribution or a grid that the paper has no formula for.
        simulated_step_sizes: `[m]`.
        simulated: `[m]`: the error of `fake_quantize` on drawn values.
    """

    best: theory.Optimum
    step_sizes: np.ndarray
    mean_squared_error: np.ndarray
    curvature: np.ndarray
    paper: np.ndarray | None
    simulated_step_sizes: np.ndarray
    simulated: np.ndarray


def make_step_curves(distribution, bits, grid, values, seed) -> StepCurves:
    """Returns the curves; simulates with `values` values drawn by `seed`."""
    best = theory.optimum(distribution, bits, grid)
    steps = best.step_size * _RATIOS
    few = steps[_SIMULATED]
    drawn = _draw(distribution, values, seed)
    return StepCurves(
        best=best,
        step_sizes=steps,
        mean_squared_error=theory.mean_squared_error(
            distribution, steps, bits, grid
        ),
        curvature=theory.curvature(distribution, steps, bits, grid),
        paper=_paper(distribution, steps, bits, grid),
        simulated_step_sizes=few,
        simulated=np.array([_error(drawn, step, bits, grid) for step in few]),
    )


def _draw(distribution, count, seed):
    random = np.random.default_rng(seed)
    deviation = distribution.standard_deviation
    drawn = {
        "uniform": lambda: random.uniform(-(3**0.5), 3**0.5, count),
        "normal": lambda: random.normal(size=count),
        "laplace": lambda: random.laplace(scale=2**-0.5, size=count),
    }[distribution.name]()
    drawn = deviation * drawn
    return np.abs(drawn) if distribution.absolute else drawn


def _error(x, step_size, bits, grid):
    levels, origin = grid.levels(bits), grid.offset * step_size
    y = fake_quantize(x, step_size, levels, origin)
    return float(np.mean((x - y.numpy()) ** 2))


def _paper(distribution, steps, bits, grid):
    if grid is not grids.EQUATION_1 or distribution.name == "laplace":
        return None
    if distribution.name == "uniform":
        a = distribution.half_width
        valid = steps <= 2 * a / (2**bits - 1)
        values = paper.uniform_mse(steps[valid], bits, a)
    else:
        sigma = distribution.standard_deviation
        valid = steps <= 2 * sigma
        values = paper.normal_mse(steps[valid], bits, sigma)
    found = np.full(steps.shape, np.nan)
    found[valid] = values
    return found
