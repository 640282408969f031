"""Outcomes as tables and Markdown."""

from kure_tf.pages.tables.table import Cell, Table
from kure_tf.paper.experiments.values import columns_of


def panel_table(one) -> Table:
    """Returns both sides of a `PanelOutcome` as one table.

    Of a curve over step ratios, the paper's points are those measured here.
    """
    columns = _columns(one)
    rows = []
    for source, side in (("paper", one.published), ("here", one.measured)):
        for name, values in side.items():
            if values.keys().isdisjoint(columns):
                continue
            cells = [_text(values.get(c), one.panel.unit) for c in columns]
            rows.append(tuple(map(Cell, (source, name, *cells))))
            source = ""
    return Table(
        one.panel.title,
        ("", "Run", *columns),
        tuple(rows),
        _caption(one),
        labels=2,
    )


def to_markdown(outcome) -> str:
    """Returns tables, verdicts and steps, to be read in a terminal too."""
    paragraphs = [f"# {outcome.experiment.title}", outcome.sentence]
    for one in outcome.panels:
        table = panel_table(one)
        claims = "\n".join(f"* {v.verdict}: {v.text}" for v in one.verdicts)
        paragraphs += [f"## {table.title}", table.to_markdown()]
        paragraphs += [table.caption, claims]
    paragraphs += ["## Steps", steps_table(outcome).to_markdown()]
    return "\n\n".join(paragraphs) + "\n"


def steps_table(outcome) -> Table:
    """Returns what was run, from which flagfiles, for how long."""
    return Table(
        "Steps",
        ("Step", "Flagfiles", "Minutes"),
        tuple(
            (
                Cell(step["step"]),
                Cell(" ".join(step["flagfiles"]) or "-"),
                Cell(minutes(step["processor_seconds"])),
            )
            for step in outcome.steps
        ),
        f"Scale {outcome.scale}. Steps that several experiments share run "
        "once. Minutes of processor time.",
        labels=2,
        prose=True,
    )


def index_table(outcomes) -> Table:
    """Returns one line for each outcome."""
    return Table(
        "The paper's experiments",
        ("Experiment", "What was found", "Minutes"),
        tuple(
            (
                Cell(one.experiment.title, link=f"{one.experiment.name}.html"),
                Cell(one.sentence),
                Cell(minutes(one.seconds)),
            )
            for one in outcomes
        ),
        "Minutes of processor time: all steps of the experiment, those that "
        "it shares with others too.",
        labels=2,
        prose=True,
    )


def index_markdown(outcomes) -> str:
    """Returns `index_table` as a page of its own."""
    table = index_table(outcomes)
    heading = f"# {index_title(outcomes)}"
    return f"{heading}\n\n{table.to_markdown()}\n\n{table.caption}\n"


def index_title(outcomes) -> str:
    """Returns the heading of an index."""
    scales = ", ".join(dict.fromkeys(one.scale for one in outcomes))
    return f"The paper's experiments at the scale {scales}"


def minutes(seconds) -> str:
    """Returns a time as text, "-" where it is not known."""
    return "-" if seconds is None else f"{seconds / 60:.1f}"


def bits_order(column):
    """Sorting key of "FP", "W8", "W2": FP first, then falling."""
    return 0 if column == "FP" else -int(column.removeprefix("W")) + 100


def _columns(one):
    if one.panel.axis == "ratio":
        return sorted(columns_of(one.measured), key=float)
    columns = columns_of(one.measured, one.published)
    return (
        sorted(columns, key=bits_order) if one.panel.axis == "bits" else columns
    )


def _text(value, unit):
    if value is None:
        return ""
    if unit != "%":
        return f"{value.mean:.3g}"
    text = f"{value.mean:.1f}"
    if value.deviation is not None:
        text += f" \N{PLUS-MINUS SIGN} {value.deviation:.1f}"
    return text


def _caption(one):
    unit = "Top-1 accuracy in %. " if one.panel.unit == "%" else ""
    here = f" Here: {one.details}." if one.details else ""
    return f"{unit}{one.panel.about}{here}"
