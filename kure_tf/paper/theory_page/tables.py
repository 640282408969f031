"""The numbers of a study as tables."""

from kure_tf.pages.tables.table import Cell, Table
from kure_tf.paper.theory_page.plots import LABELS

_GAMMA = "\N{GREEK CAPITAL LETTER GAMMA}/\N{GREEK SMALL LETTER EPSILON}\u00b2"
_FIELDS = ("step_size", "mean_squared_error", "curvature", "sensitivity")


def optimum_table(study) -> Table:
    """Returns best step, MSE, curvature and sensitivity, all rows."""
    with_paper = any(row.paper for row in study.rows)
    rows, last = [], None
    for row in study.rows:
        name = row.exact.distribution.name
        first = "" if name == last else LABELS[name]
        cells = [Cell(first), Cell(str(row.exact.bits))]
        last = name
        for field in _FIELDS:
            cells.append(Cell(number(getattr(row.exact, field))))
            if with_paper:
                cells.append(_paper_cell(row, field))
        cells.append(Cell(f"{row.exact.signal_to_noise:.2f}"))
        rows.append(tuple(cells))
    return Table(
        title=f"Optimal quantizers on the grid '{study.grid}'",
        header=_header(with_paper),
        rows=tuple(rows),
        caption=_caption(study),
        labels=2,
    )


def theorem_table(study, rival) -> Table:
    """Returns Theorem 4 in numbers, against one rival."""
    found = study.comparisons[rival]
    rival = LABELS[rival]
    header = (
        "bits",
        f"MSE\n{rival} / uniform",
        f"curvature\nuniform / {rival}",
        *(
            f"cost at \N{MULTIPLICATION SIGN}{ratio:g}\nuniform / {rival}"
            for ratio in found[0].ratios
        ),
        "equal cost\nfrom ratio",
        "smaller MSE\nfrom ratio",
    )
    return Table(
        title=f"Uniform against {rival}",
        header=header,
        rows=tuple(_theorem_row(one) for one in found),
        caption=(
            "Equal variance, each with its own best step. Cost: increase of "
            "the MSE when the step is multiplied by the ratio. Equal cost: "
            "from that ratio up to 2, a step that is too large costs the "
            "uniform less. Smaller MSE: down to that ratio it is the uniform's."
        ),
    )


def number(value) -> str:
    """Returns a number with four significant digits."""
    return f"{value:#.4g}" if abs(value) >= 1e-3 else f"{value:.3e}"


def _header(with_paper):
    sources = ("exact", "paper") if with_paper else ("exact",)
    return (
        "distribution",
        "bits",
        *(
            f"{quantity}\n{source}"
            for quantity in ("best step", "MSE", "curvature", _GAMMA)
            for source in sources
        ),
        "SQNR\ndB",
    )


def _paper_cell(row, field):
    if row.paper is None:
        return Cell("-")
    text = number(getattr(row.paper, field))
    at_least = (
        field == "sensitivity" and row.exact.distribution.name == "normal"
    )
    return Cell(f"\N{GREATER-THAN OR EQUAL TO} {text}" if at_least else text)


def _theorem_row(found):
    costs = zip(found.uniform_costs, found.rival_costs, strict=True)
    return (
        Cell(str(found.uniform.bits)),
        Cell(f"{found.mse_ratio:.2f}"),
        Cell(f"{found.curvature_ratio:.2f}"),
        *(Cell(_ratio(ours, theirs)) for ours, theirs in costs),
        Cell(_ratio_or_dash(found.equal_cost_ratio)),
        Cell(_ratio_or_dash(found.equal_mse_ratio)),
    )


def _ratio(ours, theirs):
    return "-" if theirs <= 0 else f"{ours / theirs:.2f}"


def _ratio_or_dash(value):
    return "-" if value is None else f"{value:.3f}"


def _caption(study):
    text = "Standard deviation 1. Exact: the quantizer integrated bin by bin."
    if study.grid == "unsigned":
        text += " The distributions are those of |X|."
    if any(row.paper for row in study.rows):
        text += (
            " Paper: Eq. 5 and 8 at 2a/2^M, Eq. 9 to 11 where Eq. 9 is least, "
            "as printed; it has no formula for Laplace."
        )
    return text
