"""Outcomes as tables and Markdown."""

from kure_tf.pages.tables.table import Cell, Table
from kure_tf.paper.experiments.values import places_of


def part_table(one) -> Table:
    """Returns both sides of a `PartOutcome` as one table.

    Of a curve over step ratios, the paper's points are those measured here.
    """
    places = places_of(one.measured)
    if one.part.axis != "ratio":
        places = places_of(one.measured, one.published)
    places = _sorted(places, one.part.axis)
    rows = []
    for source, side in (("paper", one.published), ("here", one.measured)):
        first = True
        for run, values in side.items():
            if not any(place in values for place in places):
                continue
            cells = [Cell(_text(values.get(p), one.part.unit)) for p in places]
            rows.append((Cell(source if first else ""), Cell(run), *cells))
            first = False
    return Table(
        one.part.title,
        ("", "Run", *places),
        tuple(rows),
        _caption(one),
        labels=2,
    )


def to_markdown(outcome) -> str:
    """Returns tables, verdicts and steps, to be read in a terminal too."""
    parts = [f"# {outcome.experiment.title}", outcome.sentence]
    for one in outcome.parts:
        table = part_table(one)
        claims = "\n".join(f"* {v.verdict}: {v.text}" for v in one.verdicts)
        parts += [f"## {table.title}", table.to_markdown(), table.caption]
        parts += [claims]
    parts += ["## Steps", steps_table(outcome).to_markdown()]
    return "\n\n".join(parts) + "\n"


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
    )


def index_table(outcomes) -> Table:
    """Returns one line for each outcome."""
    return Table(
        "The paper's experiments",
        ("Experiment", "What was found", "Minutes"),
        tuple(
            (
                Cell(one.experiment.title),
                Cell(one.sentence),
                Cell(minutes(one.seconds)),
            )
            for one in outcomes
        ),
        "Minutes of processor time: all steps of the experiment, those that "
        "it shares with others too.",
        labels=2,
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


def _sorted(places, axis):
    if axis == "ratio":
        return tuple(sorted(places, key=float))
    if axis == "bits":
        return tuple(sorted(places, key=bits_order))
    return places


def bits_order(place):
    """Sorting key of "FP", "W8", "W2": FP first, then falling."""
    return 0 if place == "FP" else -int(place.removeprefix("W")) + 100


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
    unit = "Top-1 accuracy in %. " if one.part.unit == "%" else ""
    here = f" Here: {one.details}." if one.details else ""
    return f"{unit}{one.part.about}{here}"
