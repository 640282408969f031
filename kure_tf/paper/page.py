"""A page as a value, which reads as HTML and as Markdown."""

import dataclasses
import pathlib

from kure_tf.files import write_atomically
from kure_tf.pages.elements import Section
from kure_tf.pages.page import render


@dataclasses.dataclass(frozen=True)
class Page:
    """What a page says.

    Attributes:
        title: Its heading.
        facts: What it is about, in a few words each.
        summary: What came of it, in a sentence or two.
        sections: `pages.elements.Section`s.
    """

    title: str
    facts: tuple[str, ...]
    summary: str
    sections: tuple[Section, ...]

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
        """Returns one file that needs nothing else."""
        return render(self.title, self.facts, self.summary, self.sections)

    def to_markdown(self) -> str:
        """Returns all but the plots, to be read in a terminal too."""
        paragraphs = [f"# {self.title}", self.summary]
        for section in self.sections:
            found = [text for part in section.parts for text in _texts(part)]
            if found:
                paragraphs += [f"## {section.heading}", *found]
        return "\n\n".join(paragraphs) + "\n"


def _texts(part):
    if part.kind == "heading":
        return [f"### {part.content}"]
    if part.kind == "table":
        table = part.content
        return [table.to_markdown(), *filter(None, [table.caption])]
    if part.kind == "notes":
        lines = [": ".join(filter(None, item)) for item in part.content]
        return ["\n".join(f"* {line}" for line in lines)]
    return []
