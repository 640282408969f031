"""Reports as pages: HTML that needs nothing else, and Markdown."""

from kure_tf.pages import labels
from kure_tf.pages.dimensions import RATIOS
from kure_tf.pages.elements import Key, Part, Section, run_keys
from kure_tf.pages.figures import figures
from kure_tf.pages.first_plot import first_places, first_plot
from kure_tf.pages.headline import Headline
from kure_tf.pages.metric import metrics_of
from kure_tf.pages.page import Page
from kure_tf.pages.plots import weights
from kure_tf.pages.plots.accuracy import (
    accuracy_groups,
    accuracy_panel,
    group_title,
)
from kure_tf.pages.plots.layers import layer_panels
from kure_tf.pages.plots.panel import Look
from kure_tf.pages.plots.ratios import ratio_panels
from kure_tf.pages.series import bases_of, series_of
from kure_tf.pages.tables import models, tables_of
from kure_tf.pages.tables.estimates import BOLD
from kure_tf.pages.tables.table import Cell, Table


def to_html(report) -> str:
    """Returns `report` as an HTML page.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    return report_page(report).to_html()


def to_markdown(report) -> str:
    """Returns `report` as Markdown: first screen, tables, provenance, notes.

    HTML in the texts of a report is shown, not followed.
    """
    return report_page(report, plots=False).to_markdown()


def report_page(report, *, plots=True) -> Page:
    """Returns the page of a `Report`, without plots where it is text only."""
    groups = [series_of(report.runs, m) for m in metrics_of(report.runs)]
    series = groups[0]
    headlines = [Headline.of(group) for group in groups]
    method = headlines[0].method if headlines[0] else None
    places = first_places(series, method) if plots else []
    sections = [
        *(s for g in groups if plots for s in _plots(g, places)),
        _kurtosis(series, plots),
        *([_histograms(series)] if plots else []),
        *(section for group in groups for section in _tables(group)),
        _provenance(series),
        _notes(report.notes),
    ]
    shown = figures(headlines[0], series)
    first = [Part("figures", shown)] if shown else []
    first += first_plot(series, places)
    return Page(
        report.title,
        tuple(_facts(series)),
        _lede(headlines, shown),
        tuple(section for section in sections if section.parts),
        tuple(first),
    )


def _lede(headlines, shown):
    verdicts = [headline.verdict for headline in headlines if headline]
    if verdicts:
        return " ".join(filter(None, verdicts))
    return "" if shown else "This report holds no measurements yet."


def _facts(series):
    rows = sum(len(run.rows) for one in series for run in one.runs)
    for one in series:
        seeds = f" ({one.seeds} seeds)" if one.seeds > 1 else ""
        yield one.name + seeds
    yield f"{labels.count(rows)} measurements"
    known = [run.provenance for one in series for run in one.runs]
    machines = {(p.get("processor"), p.get("threads")) for p in known}
    for processor, threads in machines if len(machines) == 1 else ():
        if threads:
            yield f"{processor}, {labels.counted(threads, 'thread')}"


def _plots(series, shown):
    """Yields the sections of all plots of values but those `shown` above."""
    if not series:
        return
    metric = series[0].metric
    yield _against_bits(series, shown)
    for ratio in RATIOS:
        look = Look.of(bases_of(series, ratio))
        panels = ratio_panels(series, ratio, look)
        heading = f"{metric.heading} {ratio.off}"
        yield _lines(heading, series, look, panels, f"{ratio.caption} ")
    caption = (
        f"What one layer costs: {metric.lost}{metric.in_points}, worst layer "
        "on top. Against what, and all numbers: in the tables below."
    )
    panels = layer_panels(series)
    parts = (_runs(series), Part("panels", panels), Part("caption", caption))
    yield Section("Sensitivity of single layers", parts if panels else ())


def _against_bits(series, shown):
    metric = series[0].metric
    groups = accuracy_groups(series)
    look = Look.of([place for places in groups.values() for place in places])
    panels = [
        accuracy_panel(
            series,
            places,
            look,
            f"{metric.name}-{number}",
            group_title(key, groups),
        )
        for number, (key, places) in enumerate(groups.items())
        if places != shown
    ]
    return _lines(f"{metric.heading} as bits get fewer", series, look, panels)


def _lines(heading, series, look, panels, caption=""):
    keys = look.keys(one.name for one in series)
    if any(one.float_estimate() for one in series):
        keys.append(Key(f"float {series[0].metric.words}", dashes="5 4"))
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


def _kurtosis(series, plots):
    parts = []
    if plots and (panel := weights.kurtosis_plot(series)):
        caption = (
            "Hollow: before training. Filled: after. A uniform distribution "
            f"has kurtosis 1.8, a normal one 3. {_left_out(series)}"
        )
        parts += [_runs(series), Part("wide", panel), Part("caption", caption)]
    if table := models.kurtosis_table(series):
        parts.append(Part("table", table))
    return Section("Kurtosis of the weights", tuple(parts))


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
            text = f"{BOLD} {labels.trained(series).capitalize()}."
            parts.append(Part("caption", text))
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
