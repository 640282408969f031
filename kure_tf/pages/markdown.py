"""Reports as Markdown that also reads well in a terminal."""

import textwrap

from kure_tf.pages.series import series_of
from kure_tf.pages.summary import summarize
from kure_tf.pages.tables import (
    accuracy as tables,
)
from kure_tf.pages.tables import (
    devices as device_table,
)
from kure_tf.pages.tables import (
    margins as margin_tables,
)
from kure_tf.pages.tables import (
    models as model_tables,
)
from kure_tf.pages.tables.ratios import dimension_tables

_WIDTH = 80


def to_markdown(report) -> str:
    """Returns `report` as Markdown: summary, tables, provenance, notes."""
    series = series_of(report.runs)
    parts = [f"# {report.title}", _wrapped(summarize(series))]
    found = [
        *tables.accuracy_tables(series),
        *tables.step_tables(series),
        *margin_tables.margin_tables(series),
        device_table.device_table(series),
        *dimension_tables(series),
        model_tables.kurtosis_table(series),
        model_tables.tflite_table(series),
    ]
    for table in found:
        if table is not None:
            parts += [f"## {table.title}", table.to_markdown()]
            parts += [_wrapped(table.caption)] if table.caption else []
    parts += _provenance(series)
    if report.notes:
        parts += ["## Notes", "\n".join(map(_bullet, report.notes))]
    return "\n\n".join(parts) + "\n"


def _provenance(series):
    facts = model_tables.provenance_facts(series)
    if not facts:
        return []
    titles = model_tables.run_titles(series)
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
