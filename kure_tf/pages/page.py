"""Pages: sections written into one HTML file that needs nothing else.

Everything is inline, so that the file can be mailed or archived as it is.
Colours are CSS variables, the plots' too; the reader's setting chooses
between light and dark.
"""

import pathlib

import jinja2

from kure_tf.pages.plots.svg import RUN_COLOURS

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

# Outlines of the legend's markers, in the order of `plots.panel.MARKERS`.
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


def render(title, facts, summary, sections) -> str:
    """Returns a page as HTML; all text is escaped.

    Args:
        title: Its heading.
        facts: What it is about; shown with dots between them.
        summary: The paragraph above the sections.
        sections: `elements.Section`s.
    """
    return _TEMPLATES.get_template("page.html").render(
        title=title,
        facts=" \N{MIDDLE DOT} ".join(facts),
        summary=_unbroken(summary),
        sections=sections,
        shapes=_SHAPES,
        colours=RUN_COLOURS,
    )


def _unbroken(text):
    """Keeps numbers and their units on one line."""
    for unit in ("%", "points"):
        text = text.replace(f" {unit}", f"\N{NO-BREAK SPACE}{unit}")
    return text
