"""Pages: sections written into one HTML file that needs nothing else.

Everything is inline, so that the file can be mailed or archived as it is.
Colours are CSS variables, the plots' too; the reader's setting chooses
between light and dark.
"""

import dataclasses
import functools
import pathlib
import textwrap

from kure_tf import extras
from kure_tf.files import write_atomically
from kure_tf.pages.elements import Part, Section
from kure_tf.pages.plots.svg import RUN_COLOURS
from kure_tf.pages.tables.table import item

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


@dataclasses.dataclass(frozen=True)
class Page:
    """What a page says; it reads as HTML and as Markdown.

    Attributes:
        title: Its heading.
        facts: What it is about, in a few words each; shown with dots between.
        summary: What came of it, the paragraph above the sections.
        sections: `elements.Section`s; with several, a list of them comes
            before.
        first: `elements.Part`s of the first screen, side by side.
    """

    title: str
    facts: tuple[str, ...]
    summary: str
    sections: tuple[Section, ...]
    first: tuple[Part, ...] = ()

    def save(self, folder, name, more=None) -> pathlib.Path:
        """Writes NAME.html, NAME.md and more, none before all are made.

        Args:
            folder: Where to; created if missing. Each file is replaced
                atomically.
            name: What the files are called.
            more: `{ending: text}` of further files.

        Returns:
            The path of the page.

        Raises:
            ImportError: If matplotlib is not installed.
            OSError: If a file cannot be written; the message names it.
        """
        path = pathlib.Path(folder) / f"{name}.html"
        texts = {"md": self.to_markdown(), "html": self.to_html()}
        for ending, text in ((more or {}) | texts).items():
            write_atomically(path.with_suffix(f".{ending}"), text)
        return path

    def to_html(self) -> str:
        """Returns one file that needs nothing else; all text is escaped."""
        return (
            _templates()
            .get_template("page.html")
            .render(
                title=self.title,
                facts=" \N{MIDDLE DOT} ".join(self.facts),
                summary=_unbroken(self.summary),
                first=self.first,
                sections=self.sections,
                shapes=_SHAPES,
                colours=RUN_COLOURS,
            )
        )

    def to_markdown(self) -> str:
        """Returns all but the plots, to be read in a terminal too."""
        paragraphs = [f"# {_one_line(self.title)}", _one_line(self.summary)]
        paragraphs += [text for part in self.first for text in _texts(part)]
        for section in self.sections:
            found = [text for part in section.parts for text in _texts(part)]
            if any(not text.startswith("#") for text in found):
                paragraphs += [f"## {section.heading}", *found]
        text = "\n\n".join(filter(None, map(_wrapped, paragraphs)))
        return text.replace("<", "&lt;") + "\n"


def _unbroken(text):
    """Keeps numbers and their units on one line."""
    for unit in ("%", "points"):
        text = text.replace(f" {unit}", f"\N{NO-BREAK SPACE}{unit}")
    return text.replace("\N{PLUS-MINUS SIGN} ", "\N{PLUS-MINUS SIGN}\xa0")


def _one_line(text):
    return " ".join(text.split())


def _wrapped(text):
    """Wraps what is one line; tables and lists are as they should be."""
    if "\n" in text or text.startswith(("|", "*", "#")):
        return text
    return textwrap.fill(
        text, 80, break_long_words=False, break_on_hyphens=False
    )


def _figure(one):
    return item(f"**{one.name}**", "; ".join((one.value, *one.details)))


def _texts(part):
    if part.kind == "heading":
        return [f"### {part.content}"]
    if part.kind == "table":
        table = part.content
        return [table.to_markdown(), *filter(None, [table.caption])]
    if part.kind == "notes":
        return ["\n".join(item(*note) for note in part.content)]
    if part.kind == "figures":
        return ["\n".join(map(_figure, part.content))]
    return []


@functools.cache
def _templates():
    with extras.needed("The page of a report"):
        import jinja2

    folder = pathlib.Path(__file__).parent / "templates"
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
