"""Outcomes as self-contained pages."""

from kure_tf.pages import page
from kure_tf.pages.elements import Legend, Notes, Panels, Section, run_keys
from kure_tf.paper.experiments import plots, text


def render(outcome) -> str:
    """Returns an outcome as an HTML page; needs matplotlib."""
    sections = [
        _panel(one, number) for number, one in enumerate(outcome.panels)
    ]
    if outcome.steps:
        table = text.steps_table(outcome)
        sections.append(Section(table.title, (table,)))
    minutes = f"{text.minutes(outcome.seconds)} minutes of processor time"
    return page.render(
        title=outcome.experiment.title,
        facts=("KURE paper", f"scale {outcome.scale}", minutes),
        summary=outcome.sentence,
        sections=sections,
    )


def render_index(outcomes) -> str:
    """Returns a page with one line for each outcome, linked to its page."""
    table = text.index_table(outcomes)
    return page.render(
        title=text.index_title(outcomes),
        facts=("KURE paper",),
        summary="Each experiment beside the paper's numbers.",
        sections=[Section(table.title, (table,))],
    )


def _panel(one, number):
    parts = []
    if plotted := plots.side_plots(one, number):
        parts += [Legend(run_keys(one.panel.series)), Panels(tuple(plotted))]
    parts.append(text.panel_table(one))
    if one.verdicts:
        claims = tuple((v.verdict, v.text) for v in one.verdicts)
        parts.append(Notes(claims))
    return Section(one.panel.title, tuple(parts))
