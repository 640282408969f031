"""Reports as one self-contained page: no network, no script, no fonts."""

from html import escape

from kure_tf.report import labels, model_tables, plots, svg, tables
from kure_tf.report.page import PAGE, STYLE
from kure_tf.report.series import series_of
from kure_tf.report.summary import summarize

# Outlines of the legend's markers, in the order of `plots.MARKERS`.
_SHAPES = (
    "M15 7m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0",
    "M11 3h8v8h-8z",
    "M15 2.5l4.5 8.5h-9z",
    "M15 2l5 5-5 5-5-5z",
    "M15 11.5l4.5-8.5h-9z",
    "M15 2.5l4.3 3.2-1.7 5.3h-5.2l-1.7-5.3z",
    "M11 4l2-2 2 2 2-2 2 2-2 3 2 3-2 2-2-2-2 2-2-2 2-3z",
    "M15 2l1.3 3.6 3.7.1-3 2.3 1.1 3.6-3.1-2.1-3.1 2.1 1.1-3.6-3-2.3 3.7-.1z",
)


def render(report) -> str:
    """Returns `report` as an HTML page.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    series = series_of(report.runs)
    sections = (
        _accuracy_plots(series),
        _step_plots(series),
        _kurtosis(series),
        _histograms(series),
        _tables("Accuracy against bits", tables.accuracy_tables(series)),
        _tables("Accuracy against step ratio", tables.step_tables(series)),
        _tables("LiteRT files", [model_tables.tflite_table(series)]),
        _provenance(series),
        _notes(report.notes),
    )
    return PAGE.substitute(
        title=escape(report.title),
        style=STYLE,
        facts=escape(_facts(series)),
        summary=_unbroken(escape(summarize(series))),
        sections="\n".join(section for section in sections if section),
    )


def _unbroken(text):
    """Keeps numbers and their units on one line."""
    for unit in ("%", "points"):
        text = text.replace(f" {unit}", f"&nbsp;{unit}")
    return text


def _facts(series):
    rows = [row for one in series for run in one.runs for row in run.rows]
    names = " \N{MIDDLE DOT} ".join(_plural_seeds(one) for one in series)
    return f"{names} \N{MIDDLE DOT} {labels.count(len(rows))} measurements"


def _plural_seeds(one):
    return f"{one.name} ({one.seeds} seeds)" if one.seeds > 1 else one.name


def _accuracy_plots(series):
    panels = plots.accuracy_panels(series)
    return panels and _section(
        "Accuracy as bits get fewer",
        _legend(series, panels),
        _panels(panels),
        _caption(_band(series)),
    )


def _step_plots(series):
    panels = plots.step_panels(series)
    return panels and _section(
        "Accuracy when the step size is off",
        _legend(series, panels),
        _panels(panels),
        _caption(
            "The step size of every quantized weight is multiplied by one "
            "ratio. Left of 1 the largest weights are clipped, right of 1 the "
            f"grid is coarser. {_band(series)}"
        ),
    )


def _kurtosis(series):
    panel = plots.kurtosis_plot(series)
    if panel is None:
        return ""
    table = model_tables.kurtosis_table(series)
    return _section(
        "Kurtosis of the weights",
        _legend(series),
        f'<figure class="scroll">{panel.svg}</figure>',
        _caption(
            "Hollow: before training. Filled: after. A uniform distribution "
            f"has kurtosis 1.8, a normal one 3. {_left_out(series)}"
        ),
        "" if table is None else _table(table),
    )


def _left_out(series):
    regularized = model_tables.regularized_layers(series)
    layers = dict.fromkeys(
        layer for one in series for run in one.runs for layer in run.kurtosis
    )
    others = [layer for layer in layers if layer not in regularized]
    if not regularized or not others:
        return ""
    return f"Not regularized in any run: {', '.join(others)}."


def _histograms(series):
    layers = plots.histogram_panels(series)
    if not layers:
        return ""
    parts = []
    for layer, panels in layers.items():
        parts += [f"<h3>{escape(layer)}</h3>", _panels(panels)]
    seeds = any(one.seeds > 1 for one in series)
    first = " Of several seeds, the first." if seeds else ""
    return _section(
        "Weights of two layers" if len(layers) > 1 else "Weights of one layer",
        *parts,
        _caption(f"Each row has common axes.{first}"),
    )


def _tables(heading, found):
    found = [table for table in found if table is not None and table.rows]
    parts = []
    for table in found:
        if table.title != heading:
            parts.append(f"<h3>{escape(table.title)}</h3>")
        parts.append(_table(table))
    strong = any(
        cell.strong for table in found for row in table.rows for cell in row
    )
    if strong:
        parts.append(
            _caption(
                "Bold: ahead of every other run by more than two standard "
                "errors of the difference."
            )
        )
    return _section(heading, *parts) if found else ""


def _provenance(series):
    facts = model_tables.provenance_facts(series)
    if not facts:
        return ""
    titles = model_tables.run_titles(series)
    head = "".join(f'<th scope="col">{escape(t)}</th>' for t in titles)
    rows = "\n".join(_fact(name, texts) for name, texts in facts.items())
    return _section(
        "Provenance",
        f'<div class="scroll"><table class="prose"><thead><tr><th></th>{head}'
        f"</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>",
        *_flags(series, titles),
    )


def _fact(name, texts):
    head = f'<th scope="row">{escape(name)}</th>'
    if len(texts) > 1 and len(set(texts)) == 1:  # Said once for all runs.
        cells = f'<td colspan="{len(texts)}">{escape(texts[0])}</td>'
    else:
        cells = "".join(f"<td>{escape(text)}</td>" for text in texts)
    return f"<tr>{head}{cells}</tr>"


def _flags(series, titles):
    runs = [run for one in series for run in one.runs]
    for run, title in zip(runs, titles, strict=True):
        if flags := run.provenance.get("flags"):
            text = escape(model_tables.flags_text(flags))
            yield (
                f"<details><summary>Flags of {escape(title)}</summary>"
                f"<pre>{text}</pre></details>"
            )


def _notes(notes):
    items = "\n".join(f"<li>{escape(note)}</li>" for note in notes)
    return notes and _section("Notes", f'<ul class="notes">\n{items}\n</ul>')


def _section(heading, *parts):
    body = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{escape(heading)}</h2>\n{body}\n</section>"


def _panels(panels):
    figures = "\n".join(
        f"<figure><figcaption>{escape(panel.title)}</figcaption>"
        f"{panel.svg}</figure>"
        for panel in panels
    )
    return f'<div class="panels">\n{figures}\n</div>'


def _caption(text):
    return f'<p class="caption">{escape(text)}</p>'


def _band(series):
    text = "Bands: plus and minus one standard error from the image count"
    if any(one.seeds > 1 for one in series):
        text += ", or one standard deviation over seeds"
    return f"{text}."


def _legend(series, panels=()):
    """Returns what the lines mean; beside the plots, where it can wrap."""
    items = [
        _key(_swatch(index, _SHAPES[index % len(_SHAPES)]), one.name)
        for index, one in enumerate(series)
    ]
    if panels and any(one.float_estimate() for one in series):
        line = _line('stroke-dasharray="5 4"')
        items.append(_key(line, "float accuracy"))
    if any(panel.reestimated for panel in panels):
        line = _line(
            'stroke-dasharray="1.5 2.5"',
            f'<path d="{_SHAPES[0]}" fill="none" stroke="currentColor"/>',
        )
        items.append(_key(line, "dotted, hollow: batch norm re-estimated"))
    return f'<ul class="legend">\n{"".join(items)}\n</ul>'


def _key(drawing, text):
    return f"<li>{drawing}<span>{escape(text)}</span></li>"


def _swatch(index, shape):
    colour = f"var(--run-{index % svg.RUN_COLOURS})"
    return (
        '<svg viewBox="0 0 30 14" aria-hidden="true">'
        f'<path d="M0 7h30" style="stroke:{colour};stroke-width:2"/>'
        f'<path d="{shape}" style="fill:{colour}"/></svg>'
    )


def _line(attributes, more=""):
    return (
        '<svg viewBox="0 0 30 14" aria-hidden="true" fill="none" '
        'style="color:var(--muted)"><path d="M0 7h30" stroke="currentColor" '
        f'stroke-width="1.5" {attributes}/>{more}</svg>'
    )


def _table(table):
    head = "".join(
        _heading(text, i < table.labels) for i, text in enumerate(table.header)
    )
    rows = "\n".join(_row(row, table.labels) for row in table.rows)
    caption = _caption(table.caption) if table.caption else ""
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table></div>\n{caption}"
    )


def _heading(text, is_label):
    first, _, second = text.partition("\n")
    small = f"<small>{escape(second)}</small>" if second else ""
    kind = ' class="label"' if is_label else ""
    return f'<th scope="col"{kind}>{escape(first)}{small}</th>'


def _row(row, label_count):
    block = ' class="block"' if row[0].text else ""
    cells = "".join(
        _cell(cell, "th" if i < label_count else "td")
        for i, cell in enumerate(row)
    )
    return f"<tr{block}>{cells}</tr>"


def _cell(cell, tag):
    text, _, spread = escape(cell.text).partition(" ± ")
    if cell.strong:
        text = f"<strong>{text}</strong>"
    if spread:
        text += f" <small>± {spread}</small>"
    hint = f' title="{escape(cell.hint)}"' if cell.hint else ""
    scope = ' scope="row"' if tag == "th" else ""
    return f"<{tag}{scope}{hint}>{text}</{tag}>"
