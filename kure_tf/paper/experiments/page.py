"""Outcomes as pages: tables and plots of both sides, and the verdicts."""

from kure_tf.pages.elements import Part, Section, run_keys
from kure_tf.pages.page import Page
from kure_tf.pages.tables.table import Cell, Table
from kure_tf.paper.experiments.plots import side_plots
from kure_tf.paper.experiments.values import columns_of, in_order


def outcome_page(outcome) -> Page:
    """Returns the page of an `Outcome`; needs matplotlib."""
    return Page(
        outcome.experiment.title,
        (
            "KURE paper",
            f"scale {outcome.scale}",
            f"{_minutes(outcome.seconds)} minutes of processor time",
        ),
        outcome.sentence,
        (
            *(_section(one, i) for i, one in enumerate(outcome.panels)),
            *(_steps(outcome) if outcome.steps else ()),
        ),
    )


def index_page(outcomes) -> Page:
    """Returns a page with one line for each outcome, linked to its page."""
    scales = ", ".join(dict.fromkeys(one.scale for one in outcomes))
    table = _table(
        ("Experiment", "What was found", "Minutes"),
        (
            (
                Cell(one.experiment.title, link=f"{one.experiment.name}.html"),
                Cell(one.sentence),
                Cell(_minutes(one.seconds)),
            )
            for one in outcomes
        ),
        "Minutes of processor time: all steps of the experiment, those that "
        "it shares with others too.",
    )
    return Page(
        f"The paper's experiments at the scale {scales}",
        ("KURE paper",),
        "Each experiment beside the paper's numbers.",
        (Section("The paper's experiments", (Part("table", table),)),),
    )


def _section(one, number):
    parts = [Part("table", _panel_table(one))]
    if one.panel.axis != "table":
        legend = Part("legend", run_keys(one.panel.series))
        parts = [legend, Part("panels", side_plots(one, number)), *parts]
    verdicts = [(v.verdict, v.text) for v in one.verdicts]
    return Section(one.panel.title, (*parts, Part("notes", verdicts)))


def _panel_table(one):
    """Returns both sides as one table.

    Of a curve over step ratios, the paper's points are those measured here.
    """
    sides = [one.measured]
    if one.panel.axis != "ratio":
        sides.append(one.published)
    columns = in_order(columns_of(*sides), one.panel.axis)
    rows = []
    for source, side in (("paper", one.published), ("here", one.measured)):
        for name, values in side.items():
            if values.keys().isdisjoint(columns):
                continue
            cells = [_text(values.get(c), one.panel.unit) for c in columns]
            rows.append(tuple(map(Cell, (source, name, *cells))))
    unit = "Top-1 accuracy in %. " if one.panel.unit == "%" else ""
    here = f" Here: {one.details}." if one.details else ""
    return Table(
        one.panel.title,
        ("", "Run", *columns),
        tuple(rows),
        f"{unit}{one.panel.about}{here}",
        labels=2,
    )


def _steps(outcome):
    """Returns what was run, from which flagfiles, for how long."""
    table = _table(
        ("Step", "Flagfiles", "Minutes"),
        (
            (
                Cell(step["step"]),
                Cell(" ".join(step["flagfiles"]) or "-"),
                Cell(_minutes(step["processor_seconds"])),
            )
            for step in outcome.steps
        ),
        f"Scale {outcome.scale}. Steps that several experiments share run "
        "once. Minutes of processor time.",
    )
    return (Section("Steps", (Part("table", table),)),)


def _table(header, rows, caption):
    return Table("", header, tuple(rows), caption, labels=2, prose=True)


def _minutes(seconds):
    """Returns a time as text, "-" where it is not known."""
    return "-" if seconds is None else f"{seconds / 60:.1f}"


def _text(value, unit):
    if value is None:
        return ""
    if unit != "%":
        return f"{value.mean:.3g}"
    text = f"{value.mean:.1f}"
    if value.standard_deviation is not None:
        text += f" \N{PLUS-MINUS SIGN} {value.standard_deviation:.1f}"
    return text
