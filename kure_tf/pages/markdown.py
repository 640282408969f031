"""Reports as Markdown that also reads well in a terminal."""

import textwrap

from kure_tf.pages.metric import metrics_of
from kure_tf.pages.series import series_of
from kure_tf.pages.summary import summarize
from kure_tf.pages.tables import models, tables_of

_WIDTH = 80


def to_markdown(report) -> str:
    """Returns `report` as Markdown: summary, tables, provenance, notes.

    HTML in the texts of a report is shown, not followed.
    """
    groups = [series_of(report.runs, m) for m in metrics_of(report.runs)]
    tables = [
        table
        for group in groups
        for found in tables_of(group).values()
        for table in found
    ]
    kurtosis = models.kurtosis_table(groups[0])
    parts = [f"# {' '.join(report.title.split())}"]
    parts += [_wrapped(summarize(group)) for group in groups]
    for table in [*tables, *([] if kurtosis is None else [kurtosis])]:
        parts += [f"## {' '.join(table.title.split())}", table.to_markdown()]
        parts += [_wrapped(table.caption)] if table.caption else []
    parts += _provenance(groups[0])
    if report.notes:
        parts += ["## Notes", "\n".join(map(_bullet, report.notes))]
    return ("\n\n".join(parts) + "\n").replace("<", "&lt;")


def _provenance(series):
    facts = models.provenance_facts(series)
    if not facts:
        return []
    titles = models.run_titles(series)
    common = {k: v[0] for k, v in facts.items() if len(set(v)) == 1}
    parts = ["## Provenance"]
    if common:
        heading = "Of all runs" if len(titles) > 1 else titles[0]
        parts.append(_facts(heading, common.items()))
    for i, title in enumerate(titles):
        own = [(k, v[i]) for k, v in facts.items() if k not in common]
        if own:
            parts.append(_facts(title, own))
    return parts


def _facts(heading, facts):
    lines = [_bullet(f"{name}: {text}") for name, text in facts]
    heading = " ".join(heading.split())
    return f"**{heading}**\n\n" + "\n".join(lines)


def _bullet(text):
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent="* ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _wrapped(text):
    return textwrap.fill(
        text, _WIDTH, break_long_words=False, break_on_hyphens=False
    )
