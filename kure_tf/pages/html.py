"""Reports as one self-contained page: no network, no script, no fonts."""

from kure_tf.pages import labels
from kure_tf.pages.dimensions import RATIOS
from kure_tf.pages.elements import Key, Part, Section, run_keys
from kure_tf.pages.metric import metrics_of
from kure_tf.pages.page import Page
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
    page = Page(
        report.title,
        tuple(_facts(series)),
        " ".join(map(summarize, groups)),
        tuple(section for section in sections if section.parts),
    )
    return page.to_html()


def _facts(series):
    rows = sum(len(run.rows) for one in series for run in one.runs)
    for one in series:
        seeds = f" ({one.seeds} seeds)" if one.seeds > 1 else ""
        yield one.name + seeds
    yield f"{labels.count(rows)} measurements"


def _plots(series):
    """Yields the sections of all plots of values."""
    if not series:
        return
    metric = series[0].metric
    heading = f"{metric.heading} as bits get fewer"
    yield _lines(heading, series, accuracy_panels(series))
    for ratio in RATIOS:
        heading = f"{metric.heading} {ratio.off}"
        panels = ratio_panels(series, ratio)
        yield _lines(heading, series, panels, f"{ratio.caption} ")
    caption = (
        f"What one layer costs: {metric.lost}{metric.in_points}, worst layer "
        "on top. Against what, and all numbers: in the tables below."
    )
    panels = layer_panels(series)
    parts = (_runs(series), Part("panels", panels), Part("caption", caption))
    yield Section("Sensitivity of single layers", parts if panels else ())


def _lines(heading, series, panels, caption=""):
    keys = run_keys(one.name for one in series)
    if any(one.float_estimate() for one in series):
        keys.append(Key(f"float {series[0].metric.words}", dashes="5 4"))
    if any(panel.reestimated for panel in panels):
        text = "dotted, hollow: batch norm re-estimated"
        keys.append(Key(text, dashes="1.5 2.5", hollow=True))
    caption += "Bands: plus and minus one standard error from the example count"
    if any(one.seeds > 1 for one in series):
        caption += ", or one standard deviation over seeds"
    parts = (
        Part("legend", keys),
        Part("panels", panels),
        Part("caption", f"{caption}."),
    )
    return Section(heading, parts if panels else ())


def _runs(series):
    return Part("legend", run_keys(one.name for one in series))


def _kurtosis(series):
    heading = "Kurtosis of the weights"
    panel = weights.kurtosis_plot(series)
    if panel is None:
        return Section(heading, ())
    caption = (
        "Hollow: before training. Filled: after. A uniform distribution has "
        f"kurtosis 1.8, a normal one 3. {_left_out(series)}"
    )
    parts = [_runs(series), Part("wide", panel), Part("caption", caption)]
    if table := models.kurtosis_table(series):
        parts.append(Part("table", table))
    return Section(heading, tuple(parts))


def _left_out(series):
    regularized = models.regularized_layers(series)
    others = [
        layer
        for layer in models.layers_of(series, "kurtosis")
        if layer not in regularized
    ]
    if not regularized or not others:
        return ""
    return f"Not regularized in any run: {', '.join(others)}."


def _histograms(series):
    parts = []
    layers = weights.histogram_panels(series)
    for layer, panels in layers.items():
        parts += [Part("heading", layer), Part("panels", panels)]
    if parts:
        seeds = any(one.seeds > 1 for one in series)
        first = " Of several seeds, the first." if seeds else ""
        parts.append(Part("caption", f"Each row has common axes.{first}"))
    which = "two layers" if len(layers) > 1 else "one layer"
    return Section(f"Weights of {which}", tuple(parts))


def _tables(series):
    """Yields the sections of all tables of values."""
    for heading, tables in tables_of(series).items():
        parts = []
        for table in tables:
            if table.title != heading:
                parts.append(Part("heading", table.title))
            parts.append(Part("table", table))
        cells = (c for table in tables for row in table.rows for c in row)
        if any(cell.strong for cell in cells):
            text = "Bold: ahead of every other run by more than two standard "
            parts.append(Part("caption", f"{text}errors of the difference."))
        yield Section(heading, tuple(parts))


def _provenance(series):
    titles = models.run_titles(series)
    facts = models.provenance_facts(series)
    rows = tuple(_fact(name, texts) for name, texts in facts.items())
    table = Table("Provenance", ("", *titles), rows, prose=True)
    parts = (Part("table", table), *_flags(series, titles))
    return Section("Provenance", parts if rows else ())


def _fact(name, texts):
    if len(texts) > 1 and len(set(texts)) == 1:  # Said once for all runs.
        return Cell(name), Cell(texts[0], span=len(texts))
    return Cell(name), *map(Cell, texts)


def _flags(series, titles):
    runs = [run for one in series for run in one.runs]
    for run, title in zip(runs, titles, strict=True):
        if flags := run.provenance.get("flags"):
            text = models.flags_text(flags)
            yield Part("folded", (f"Flags of {title}", text))


def _notes(notes):
    items = [("", note) for note in notes]
    return Section("Notes", (Part("notes", items),) if items else ())
