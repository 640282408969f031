"""Reports as one self-contained page: no network, no script, no fonts."""

from kure_tf.pages import labels, page
from kure_tf.pages.dimensions import RATIOS, STEPS
from kure_tf.pages.elements import (
    Caption,
    Folded,
    Heading,
    Key,
    Legend,
    Notes,
    Panels,
    Section,
    run_keys,
)
from kure_tf.pages.metric import metrics_of
from kure_tf.pages.plots import weights
from kure_tf.pages.plots.accuracy import accuracy_panels
from kure_tf.pages.plots.layers import layer_panels
from kure_tf.pages.plots.ratios import ratio_panels
from kure_tf.pages.series import series_of
from kure_tf.pages.summary import summarize
from kure_tf.pages.tables import models, tables_of
from kure_tf.pages.tables.table import Cell, Table


def to_html(report) -> str:
    """Returns `report` as an HTML page.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    groups = [series_of(report.runs, m) for m in metrics_of(report.runs)]
    series = groups[0]
    sections = (
        *(section for group in groups for section in _plots(group)),
        _kurtosis(series),
        _histograms(series),
        *(section for group in groups for section in _tables(group)),
        _provenance(series),
        _notes(report.notes),
    )
    return page.render(
        title=report.title,
        facts=_facts(series),
        summary=" ".join(map(summarize, groups)),
        sections=[section for section in sections if section is not None],
    )


def _facts(series):
    rows = sum(len(run.rows) for one in series for run in one.runs)
    for one in series:
        seeds = f" ({one.seeds} seeds)" if one.seeds > 1 else ""
        yield one.name + seeds
    yield f"{labels.count(rows)} measurements"


def _plots(series):
    """Yields the sections of all plots of values."""
    words = series[0].metric.heading if series else ""
    others = [ratio for ratio in RATIOS if ratio != STEPS]
    yield _panels(
        f"{words} as bits get fewer",
        series,
        accuracy_panels(series),
        _band(series),
    )
    yield _panels(
        f"{words} when the step size is off",
        series,
        ratio_panels(series, STEPS),
        "The step size of every quantized weight is multiplied by one ratio. "
        "Left of 1 the largest weights are clipped, right of 1 the grid is "
        f"coarser. {_band(series)}",
    )
    for ratio in others:
        yield _panels(
            f"{words} against the {ratio.title[:1].lower()}{ratio.title[1:]}",
            series,
            ratio_panels(series, ratio),
            f"{ratio.caption} {_band(series)}",
        )
    yield _layers(series)


def _panels(heading, series, panels, caption):
    if not panels:
        return None
    keys = [*run_keys(one.name for one in series)]
    if any(one.float_estimate() for one in series):
        metric = series[0].metric
        keys.append(Key(f"float {metric.words}", dashes="5 4"))
    if any(panel.reestimated for panel in panels):
        text = "dotted, hollow: batch norm re-estimated"
        keys.append(Key(text, dashes="1.5 2.5", hollow=True))
    parts = (Legend(tuple(keys)), Panels(tuple(panels)), Caption(caption))
    return Section(heading, parts)


def _layers(series):
    panels = layer_panels(series)
    if not panels:
        return None
    metric = series[0].metric
    caption = (
        f"What one layer costs: {metric.lost}{metric.in_points}, worst layer "
        "on top. Against what, and all numbers: in the tables below."
    )
    return Section(
        "Sensitivity of single layers",
        (_runs(series), Panels(tuple(panels)), Caption(caption)),
    )


def _runs(series):
    return Legend(run_keys(one.name for one in series))


def _band(series):
    text = "Bands: plus and minus one standard error from the example count"
    if any(one.seeds > 1 for one in series):
        text += ", or one standard deviation over seeds"
    return f"{text}."


def _kurtosis(series):
    panel = weights.kurtosis_plot(series)
    if panel is None:
        return None
    caption = (
        "Hollow: before training. Filled: after. A uniform distribution has "
        f"kurtosis 1.8, a normal one 3. {_left_out(series)}"
    )
    table = models.kurtosis_table(series)
    return Section(
        "Kurtosis of the weights",
        (
            _runs(series),
            Panels((panel,), wide=True),
            Caption(caption),
            *([] if table is None else [table]),
        ),
    )


def _left_out(series):
    regularized = models.regularized_layers(series)
    layers = dict.fromkeys(
        layer for one in series for run in one.runs for layer in run.kurtosis
    )
    others = [layer for layer in layers if layer not in regularized]
    if not regularized or not others:
        return ""
    return f"Not regularized in any run: {', '.join(others)}."


def _histograms(series):
    layers = weights.histogram_panels(series)
    if not layers:
        return None
    parts = []
    for layer, panels in layers.items():
        parts += [Heading(layer), Panels(tuple(panels))]
    seeds = any(one.seeds > 1 for one in series)
    first = " Of several seeds, the first." if seeds else ""
    return Section(
        "Weights of two layers" if len(layers) > 1 else "Weights of one layer",
        (*parts, Caption(f"Each row has common axes.{first}")),
    )


def _tables(series):
    """Yields the sections of all tables of values."""
    for heading, tables in tables_of(series).items():
        parts = []
        for table in tables:
            parts += [Heading(table.title)] if table.title != heading else []
            parts.append(table)
        cells = (c for table in tables for row in table.rows for c in row)
        if any(cell.strong for cell in cells):
            text = "Bold: ahead of every other run by more than two standard "
            parts.append(Caption(f"{text}errors of the difference."))
        yield Section(heading, tuple(parts))


def _provenance(series):
    facts = models.provenance_facts(series)
    if not facts:
        return None
    titles = models.run_titles(series)
    table = Table(
        "Provenance",
        ("", *titles),
        tuple(_fact(name, texts) for name, texts in facts.items()),
        prose=True,
    )
    return Section("Provenance", (table, *_flags(series, titles)))


def _fact(name, texts):
    if len(texts) > 1 and len(set(texts)) == 1:  # Said once for all runs.
        return Cell(name), Cell(texts[0], span=len(texts))
    return Cell(name), *map(Cell, texts)


def _flags(series, titles):
    runs = [run for one in series for run in one.runs]
    for run, title in zip(runs, titles, strict=True):
        if flags := run.provenance.get("flags"):
            yield Folded(f"Flags of {title}", models.flags_text(flags))


def _notes(notes):
    items = tuple(("", note) for note in notes)
    return Section("Notes", (Notes(items),)) if items else None
