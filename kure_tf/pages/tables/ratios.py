"""Tables of values against a ratio of step sizes."""

from kure_tf.pages import labels
from kure_tf.pages.place import methods_in
from kure_tf.pages.series import bases_of
from kure_tf.pages.tables.estimates import (
    error_caption,
    estimate_cell,
    seeds_caption,
)
from kure_tf.pages.tables.table import Cell, Table


def ratio_tables(series, ratio) -> list[Table]:
    """Returns values against a ratio, one table per PTQ method.

    Rows are ratios; columns are points and runs.
    """
    bases = bases_of(series, ratio)
    methods = methods_in(bases)
    return [
        _ratio_table(
            f"{ratio.title}: {method.label(methods)}",
            ratio,
            [base for base in bases if base.method == method],
            series,
        )
        for method in methods
    ]


def _ratio_table(title, ratio, bases, series):
    columns = [
        (base, one.name, curve)
        for base in bases
        for one in series
        if (curve := one.curve(ratio, base))
    ]
    ratios = sorted({at for *_, curve in columns for at in curve})
    shown = [e for *_, curve in columns for e in curve.values()]
    return Table(
        title=title,
        header=(
            "Ratio",
            *(f"{labels.point(b.point)}\n{name}" for b, name, _ in columns),
        ),
        rows=tuple(_row(at, columns) for at in ratios),
        caption=f"{ratio.caption} {error_caption(shown)}{seeds_caption(shown)}",
    )


def _row(ratio, columns):
    cells = []
    for base, name, curve in columns:
        rivals = [
            other.get(ratio)
            for at, rival, other in columns
            if at == base and rival != name
        ]
        cells.append(estimate_cell(curve.get(ratio), rivals))
    text = f"{ratio:.2f}" if round(ratio, 2) == ratio else f"{ratio:g}"
    return Cell(text), *cells
