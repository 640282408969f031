"""Tables of margins: step, bits, layers, one row per run in each block."""

import dataclasses

from kure_tf.pages import labels
from kure_tf.pages.margins.layer_margins import WORST_LAYERS
from kure_tf.pages.margins.margins import margins
from kure_tf.pages.tables.table import Cell, Table

_IN_BRACKETS = (
    "In brackets: the same with one standard error of a difference less and "
    "more to lose. "
)


def margin_tables(series, budget=0.01) -> list[Table]:
    """Returns the tables of `margins`, those that there are rows for."""
    found = [margins(one, budget) for one in series]
    makers = (_step_table, _bit_table, _layer_table)
    tables = (make(found, series[0].metric) for make in makers if found)
    trained = f"{labels.trained(series).capitalize()}." if series else ""
    return [
        dataclasses.replace(table, caption=f"{table.caption} {trained}")
        for table in tables
        if table is not None
    ]


def side_text(side) -> str:
    """Returns how far a step ratio may go: "6.2 %" or "at least 30 %"."""
    if side is None:
        return "-"
    number = f"{share_text(side.share)} %"
    return number if side.crossed else f"at least {number}"


def share_text(share) -> str:
    """Returns 0.062 as "6.2" and 0.3 as "30"."""
    percent = round(100 * share, 1)
    return f"{percent:.1f}" if percent < 10 else f"{percent:.0f}"


def _step_table(found, metric):
    rows = _rows(found, "steps", _step_cells, metric)
    if not rows:
        return None
    ranges = {step.ratios for one in found for step in one.steps}
    errors = any(step.difference_error for one in found for step in one.steps)
    in_brackets = _IN_BRACKETS if errors else ""
    swept = " or ".join(f"{low:g} to {high:g}" for low, high in sorted(ranges))
    return Table(
        title=f"Step margins for {metric.budget(found[0].budget)}",
        header=(
            *("Step sizes", "Point", "Run"),
            *("Too small by", "Too large by"),
            *("Mean\nbelow 1", "Mean\nabove 1", "Mean\nin all"),
        ),
        rows=rows,
        caption="By how much the step may be too small or too large until the "
        f"{metric.words} first is that much worse than at ratio 1, on straight "
        f"lines between the swept ratios ({swept}); 'at least': not within "
        f"them. {in_brackets}Each run is held against its own "
        f"{metric.words} at ratio 1, so a bad curve may have a wide margin; "
        f"Mean is the {metric.words}{metric.in_percent}, averaged over the "
        "ratios (the area under the curve divided by its width).",
        labels=3,
    )


def _step_cells(step, metric):
    means = (step.mean_below, step.mean_above, step.mean)
    return (
        *(_side_cell(side) for side in (step.smaller, step.larger)),
        *(_mean_cell(metric, mean) for mean in means),
    )


def _side_cell(side):
    if side is None:
        return Cell("-", "ratio 1, or this side of it, was not measured")
    low, high = (share_text(share) for share in side.interval)
    text = side_text(side)
    if low == high:
        return Cell(text)
    return Cell(f"{text} ({low} {f'to {high}' if side.crossed else 'and up'})")


def _mean_cell(metric, mean):
    if mean is None:
        return Cell("-", "fewer than two ratios, or ratio 1 is missing")
    return Cell(metric.text(mean))


def _bit_table(found, metric):
    rows = _rows(found, "bits", _bit_cells, metric)
    if not rows:
        return None
    drops = [d for one in found for bits in one.bits for _, d in bits.drops]
    budget = metric.budget(found[0].budget)
    return Table(
        title=f"Fewest weight bits within {budget} of float",
        header=(
            *("Step sizes", "Quantized", "Run"),
            *("Fewest bits", "Mean", "over weight bits"),
        ),
        rows=rows,
        caption="The fewest bits at which float is not further ahead, nor at "
        f"any larger bit-width that was measured. {_error(metric, drops)}Mean: "
        f"plain mean of the {metric.words}{metric.in_percent} over the weight "
        "bits named, those of 2 to 8 that were measured.",
        labels=3,
    )


def _bit_cells(bits, metric):
    drops = ", ".join(
        f"{metric.difference(drop)} at {width}"
        for width, (drop, _) in bits.drops
    )
    hint = f"drop from float{metric.in_points}: {drops} bits"
    return (
        Cell(_fewest(bits), hint),
        Cell("-" if bits.mean is None else metric.text(bits.mean)),
        Cell(", ".join(map(str, bits.mean_bits)) or "-"),
    )


def _fewest(bits):
    text = "none" if bits.lowest is None else str(bits.lowest)
    if not bits.passing:
        return text
    passing = ", ".join(map(str, bits.passing))
    within = "is" if len(bits.passing) == 1 else "are"
    return f"{text}; {passing} {within} within, more bits are not"


def _layer_table(found, metric):
    rows = _rows(found, "layers", _layer_cells, metric)
    if not rows:
        return None
    drops = [w[1:] for one in found for m in one.layers for w in m.worst]
    ranks = ("Most sensitive", "Second", "Third")
    return Table(
        title="Most sensitive layers",
        header=("Step sizes", "Point", "Run", *ranks, "Of"),
        rows=rows,
        caption="One layer alone at the point, all others in float. In "
        f"brackets: by how much float is ahead{metric.in_points}. "
        f"{_error(metric, drops)}Smaller drops, and their order, may be "
        "chance. Of: how many layers were measured.",
        labels=3,
    )


def _error(metric, drops):
    """States the largest error of `(drop, error)`s where all are known."""
    errors = [error for _, error in drops]
    if None in errors:
        return ""
    error = metric.points(max(errors), 2)
    return f"Standard error of one such drop: at most {error}. "


def _layer_cells(layers, metric):
    cells = [
        Cell(f"{layer.removesuffix('/kernel')} ({metric.difference(drop)})")
        for layer, drop, _ in layers.worst
    ]
    missing = [Cell("-")] * (WORST_LAYERS - len(cells))
    return (*cells, *missing, Cell(str(layers.count)))


def _rows(found, kind, cells_of, metric):
    """Returns rows in blocks of one method and point, one row per run."""
    margins = [(one.name, m) for one in found for m in getattr(one, kind)]
    methods = list(dict.fromkeys(margin.method for _, margin in margins))
    kinds = list(dict.fromkeys(margin.label for _, margin in margins))

    def block(item):
        return methods.index(item[1].method), kinds.index(item[1].label)

    return tuple(
        (
            Cell(margin.method.label(methods)),
            Cell(margin.label),
            Cell(name),
            *cells_of(margin, metric),
        )
        for name, margin in sorted(margins, key=block)
    )
