"""Reports as one self-contained page: no network, no script, no fonts."""

from html import escape

from kure_tf.pages import elements, labels
from kure_tf.pages.page import PAGE, STYLE
from kure_tf.pages.plots import accuracy as plots
from kure_tf.pages.plots import weights as weight_plots
from kure_tf.pages.plots.ratios import ratio_panels, sensitivity_panels
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


def to_html(report) -> str:
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
        _tables("Margins", margin_tables.margin_tables(series)),
        _tables("Devices", [device_table.device_table(series)]),
        _other_ratios(series),
        _sensitivity(series),
        _tables("Other robustness sweeps", dimension_tables(series)),
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
    return panels and elements.section(
        "Accuracy as bits get fewer",
        _legend(series, panels),
        elements.panels(panels),
        elements.caption(_band(series)),
    )


def _step_plots(series):
    panels = plots.step_panels(series)
    return panels and elements.section(
        "Accuracy when the step size is off",
        _legend(series, panels),
        elements.panels(panels),
        elements.caption(
            "The step size of every quantized weight is multiplied by one "
            "ratio. Left of 1 the largest weights are clipped, right of 1 the "
            f"grid is coarser. {_band(series)}"
        ),
    )


def _other_ratios(series):
    panels = ratio_panels(series)
    return panels and elements.section(
        "Accuracy when other steps and clips are off",
        _legend(series),
        elements.panels(panels),
    )


def _sensitivity(series):
    panels = sensitivity_panels(series)
    return panels and elements.section(
        "Sensitivity of single layers",
        _legend(series),
        elements.panels(panels),
        elements.caption(
            "Accuracy lost through one layer, in points; worst layer on top. "
            "What it is lost against, and all numbers: in the tables below."
        ),
    )


def _kurtosis(series):
    panel = weight_plots.kurtosis_plot(series)
    if panel is None:
        return ""
    table = model_tables.kurtosis_table(series)
    return elements.section(
        "Kurtosis of the weights",
        _legend(series),
        f'<figure class="scroll">{panel.svg}</figure>',
        elements.caption(
            "Hollow: before training. Filled: after. A uniform distribution "
            f"has kurtosis 1.8, a normal one 3. {_left_out(series)}"
        ),
        "" if table is None else elements.table(table),
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
    layers = weight_plots.histogram_panels(series)
    if not layers:
        return ""
    parts = []
    for layer, panels in layers.items():
        parts += [f"<h3>{escape(layer)}</h3>", elements.panels(panels)]
    seeds = any(one.seeds > 1 for one in series)
    first = " Of several seeds, the first." if seeds else ""
    return elements.section(
        "Weights of two layers" if len(layers) > 1 else "Weights of one layer",
        *parts,
        elements.caption(f"Each row has common axes.{first}"),
    )


def _tables(heading, found):
    found = [table for table in found if table is not None and table.rows]
    parts = []
    for table in found:
        if table.title != heading:
            parts.append(f"<h3>{escape(table.title)}</h3>")
        parts.append(elements.table(table))
    strong = any(
        cell.strong for table in found for row in table.rows for cell in row
    )
    if strong:
        parts.append(
            elements.caption(
                "Bold: ahead of every other run by more than two standard "
                "errors of the difference."
            )
        )
    return elements.section(heading, *parts) if found else ""


def _provenance(series):
    facts = model_tables.provenance_facts(series)
    if not facts:
        return ""
    titles = model_tables.run_titles(series)
    head = "".join(f'<th scope="col">{escape(t)}</th>' for t in titles)
    rows = "\n".join(_fact(name, texts) for name, texts in facts.items())
    return elements.section(
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
    return notes and elements.section(
        "Notes", f'<ul class="notes">\n{items}\n</ul>'
    )


def _band(series):
    text = "Bands: plus and minus one standard error from the image count"
    if any(one.seeds > 1 for one in series):
        text += ", or one standard deviation over seeds"
    return f"{text}."


def _legend(series, panels=()):
    """Returns what the lines mean; beside the plots, where it can wrap."""
    items = [
        elements.key(elements.swatch(index), one.name)
        for index, one in enumerate(series)
    ]
    if panels and any(one.float_estimate() for one in series):
        line = elements.line('stroke-dasharray="5 4"')
        items.append(elements.key(line, "float accuracy"))
    if any(panel.reestimated for panel in panels):
        line = elements.line('stroke-dasharray="1.5 2.5"', elements.HOLLOW)
        text = "dotted, hollow: batch norm re-estimated"
        items.append(elements.key(line, text))
    return elements.legend(items)
