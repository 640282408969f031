"""The numbers that the page shows, computed in one go."""

import dataclasses

from kure_tf.ops import grid as grids
from kure_tf.paper import theory
from kure_tf.paper.theory import paper
from kure_tf.paper.theory_page.curves import StepCurves, make_step_curves

ALL_BITS = tuple(range(1, 9))
RIVALS = ("normal", "laplace")


@dataclasses.dataclass(frozen=True)
class Printed:
    """What the paper has for one distribution and bit-width.

    Attributes:
        step_size: "2 a / 2^M" of Eq. 6; of the normal, where Eq. 9 is least.
        mean_squared_error: Eq. 5, or 9, there.
        curvature: Eq. 8, or 10, there as printed.
        sensitivity: Gamma / epsilon^2 as printed: 1/4 (Eq. 8), or at least
            11/12 (Eq. 11).
    """

    step_size: float
    mean_squared_error: float
    curvature: float
    sensitivity: float


@dataclasses.dataclass(frozen=True)
class Row:
    """One distribution at one bit-width: exact, and as the paper has it."""

    exact: theory.Optimum
    paper: Printed | None


@dataclasses.dataclass(frozen=True)
class Study:
    """Everything on the page, at standard deviation 1.

    Attributes:
        grid: Name of the grid.
        figure_bits: Bit-width of the curves.
        rows: By distribution, then by bits.
        curves: One per distribution: error and curvature against the step.
        comparisons: `{rival: one theory.Theorem4 per bit-width}`.
        values: How many values each simulated error was measured on.
        seed: Of their draw.
    """

    grid: str
    figure_bits: int
    rows: tuple[Row, ...]
    curves: tuple[StepCurves, ...]
    comparisons: dict[str, tuple[theory.Theorem4, ...]]
    values: int
    seed: int

    @property
    def bits(self):
        """The bit-widths, ascending."""
        return tuple(sorted({row.exact.bits for row in self.rows}))

    def rows_of(self, name):
        """Returns the rows of one distribution."""
        return [r for r in self.rows if r.exact.distribution.name == name]


def make_study(
    grid="equation1",
    *,
    bits=None,
    figure_bits=4,
    ratios=(0.7, 0.8, 0.9, 1.1, 1.25, 1.5),
    values=10_000,
    seed=0,
) -> Study:
    """Returns the numbers of section 3 of the paper.

    Args:
        grid: A `Grid` whose levels are fixed, or its name. The paper's own
            formulas are those of "equation1" and left out elsewhere. On
            "unsigned" the distributions are those of |X|.
        bits: Bit-widths in 1..8; None: all that the grid has.
        figure_bits: Bit-width of Figure 1; the paper has 4.
        ratios: Step ratios at which deviating is priced.
        values: How many values to simulate Figure 1 with; the paper has
            10,000.
        seed: Of the simulation.

    Raises:
        TypeError, ValueError: As `theory.mean_squared_error`; and a
            ValueError if there are no bits, or no values.
    """
    grid = grids.get(grid)
    if bits is None:
        bits = [m for m in ALL_BITS if m >= grid.min_bits]
    bits = sorted(set(bits))
    if not bits or values < 1:
        raise ValueError(
            "Expected at least one bit-width, such as 4, and one value to "
            f"simulate. Received: {bits} and {values}."
        )
    absolute = grid is grids.UNSIGNED
    kinds = [kind(absolute=absolute) for kind in theory.DISTRIBUTIONS.values()]
    return Study(
        grid=grid.name,
        figure_bits=figure_bits,
        rows=tuple(_row(kind, m, grid) for kind in kinds for m in bits),
        curves=tuple(
            make_step_curves(kind, figure_bits, grid, values, seed)
            for kind in kinds
        ),
        comparisons={
            rival: tuple(
                theory.theorem_4(m, rival=rival, ratios=ratios, grid=grid)
                for m in bits
            )
            for rival in RIVALS
        },
        values=values,
        seed=seed,
    )


def _row(distribution, bits, grid):
    has_formulas = grid is grids.EQUATION_1 and distribution.name != "laplace"
    printed = _printed(distribution, bits) if has_formulas else None
    return Row(theory.optimum(distribution, bits, grid), printed)


def _printed(distribution, bits):
    if distribution.name == "uniform":
        unit = distribution.half_width
        step = 2 * unit / 2**bits
        error, curvature = paper.uniform_mse, paper.uniform_curvature
        sensitivity = paper.printed_uniform_sensitivity
    else:
        unit = distribution.standard_deviation
        step = paper.normal_step_size(bits, unit)
        error, curvature = paper.normal_mse, paper.printed_normal_curvature
        sensitivity = paper.printed_normal_sensitivity
    at_step = (
        float(formula(step, bits, unit)) for formula in (error, curvature)
    )
    return Printed(step, *at_step, float(sensitivity(1.0)))
