"""Outcomes as self-contained pages."""

from html import escape

from kure_tf.pages import elements
from kure_tf.pages.page import PAGE, STYLE
from kure_tf.paper.experiments import plots, text


def render(outcome) -> str:
    """Returns an outcome as an HTML page; needs matplotlib."""
    dot = " \N{MIDDLE DOT} "
    facts = dot.join(
        ("KURE paper", f"scale {outcome.scale}", _minutes(outcome))
    )
    sections = [
        _panel(one, number) for number, one in enumerate(outcome.panels)
    ]
    if outcome.steps:
        table = text.steps_table(outcome)
        sections.append(
            elements.section(table.title, elements.table(table, prose=True))
        )
    return PAGE.substitute(
        title=escape(outcome.experiment.title),
        style=STYLE,
        facts=escape(facts),
        summary=escape(outcome.sentence),
        sections="\n".join(sections),
    )


def render_index(outcomes) -> str:
    """Returns a page with one line for each outcome, linked to its page."""
    table = text.index_table(outcomes)
    shown = elements.table(table, prose=True)
    for one in outcomes:
        title = escape(one.experiment.title)
        link = f'<a href="{one.experiment.name}.html">{title}</a>'
        shown = shown.replace(f">{title}<", f">{link}<", 1)
    return PAGE.substitute(
        title=escape(text.index_title(outcomes)),
        style=STYLE,
        facts="KURE paper",
        summary="Each experiment beside the paper's numbers.",
        sections=elements.section(table.title, shown),
    )


def _minutes(outcome):
    return f"{text.minutes(outcome.seconds)} minutes of processor time"


def _panel(one, number):
    plotted = plots.side_plots(one, number)
    claims = "\n".join(
        f"<li><strong>{escape(v.verdict)}</strong>: {escape(v.text)}</li>"
        for v in one.verdicts
    )
    return elements.section(
        one.panel.title,
        _legend(one) if plotted else "",
        elements.panels(plotted) if plotted else "",
        elements.table(text.panel_table(one)),
        f'<ul class="notes">\n{claims}\n</ul>' if claims else "",
    )


def _legend(one):
    return elements.legend(
        elements.key(elements.swatch(index), name)
        for index, name in enumerate(one.panel.series)
    )
