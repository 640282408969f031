"""What pages are made of: sections, figures, tables, legends, as HTML."""

from html import escape

from kure_tf.pages.plots import svg

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

# A round marker on a `line`, which stands for no run in particular.
HOLLOW = f'<path d="{_SHAPES[0]}" fill="none" stroke="currentColor"/>'


def section(heading, *parts) -> str:
    """Returns `parts` (HTML; empty ones left out) under a heading (text)."""
    body = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{escape(heading)}</h2>\n{body}\n</section>"


def panels(shown) -> str:
    """Returns `plots.Panel`s side by side, each with its title above it."""
    figures = "\n".join(
        f"<figure><figcaption>{escape(panel.title)}</figcaption>"
        f"{panel.svg}</figure>"
        for panel in shown
    )
    return f'<div class="panels">\n{figures}\n</div>'


def caption(text) -> str:
    """Returns the small print below a figure or table."""
    return f'<p class="caption">{escape(text)}</p>'


def legend(keys) -> str:
    """Returns a legend of `key`s."""
    return f'<ul class="legend">\n{"".join(keys)}\n</ul>'


def key(drawing, text) -> str:
    """Returns one item of a legend: a `swatch` or `line`, and a text."""
    return f"<li>{drawing}<span>{escape(text)}</span></li>"


def swatch(index) -> str:
    """Returns a line in the colour of run `index` with its marker on it."""
    shape = _SHAPES[index % len(_SHAPES)]
    colour = f"var(--run-{index % svg.RUN_COLOURS})"
    return (
        '<svg viewBox="0 0 30 14" aria-hidden="true">'
        f'<path d="M0 7h30" style="stroke:{colour};stroke-width:2"/>'
        f'<path d="{shape}" style="fill:{colour}"/></svg>'
    )


def line(attributes, more="") -> str:
    """Returns a muted line with these attributes of SVG, and `more` on it."""
    return (
        '<svg viewBox="0 0 30 14" aria-hidden="true" fill="none" '
        'style="color:var(--muted)"><path d="M0 7h30" stroke="currentColor" '
        f'stroke-width="1.5" {attributes}/>{more}</svg>'
    )


def table(shown, *, prose=False) -> str:
    """Returns a `table.Table`; `prose` lets the text of its cells wrap."""
    head = "".join(
        _heading(text, i < shown.labels) for i, text in enumerate(shown.header)
    )
    rows = "\n".join(_row(row, shown.labels) for row in shown.rows)
    below = caption(shown.caption) if shown.caption else ""
    kind = ' class="prose"' if prose else ""
    return (
        f'<div class="scroll"><table{kind}><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table></div>\n{below}"
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
