"""A table as a value, and how it reads in Markdown."""

import dataclasses
import textwrap


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: What it says.
        hint: What a mouse reveals.
        strong: Whether it is ahead of the others.
        link: Where it leads on a page.
        span: How many columns it fills on a page.
    """

    text: str
    hint: str = ""
    strong: bool = False
    link: str = ""
    span: int = 1


@dataclasses.dataclass(frozen=True)
class Table:
    """A table whose first `labels` columns name the row.

    Attributes:
        title: Its heading.
        header: One text per column; a line break separates two levels.
        rows: Tuples of `Cell`, as long as `header`.
        caption: What the numbers are, and how uncertain.
        labels: How many columns name the row.
        prose: Whether the text of cells may wrap on a page.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    labels: int = 1
    prose: bool = False

    @property
    def repeated(self) -> list[int]:
        """How many labels, the last one left out, repeat those above."""
        counts, above = [], ()
        for row in self.rows:
            names = [cell.text for cell in row[: self.labels - 1]]
            same = [a == b for a, b in zip(above, names, strict=False)]
            counts.append((*same, False).index(False))
            above = names
        return counts

    def to_markdown(self) -> str:
        """Returns the table in Markdown, aligned to be read as it is.

        One whose cells are prose becomes a list.
        """
        if self.prose:
            return "\n".join(map(self._item, self.rows))
        header = [escaped(text) for text in self.header]
        body = [
            [*[""] * repeated, *(escaped(cell.text) for cell in row[repeated:])]
            for row, repeated in zip(self.rows, self.repeated, strict=True)
        ]
        widths = [
            max(3, *(len(line[i]) for line in [header, *body]))
            for i in range(len(header))
        ]
        rule = [
            "-" * width if i < self.labels else "-" * (width - 1) + ":"
            for i, width in enumerate(widths)
        ]
        lines = [header, rule, *body]
        return "\n".join(self._line(line, widths) for line in lines)

    def _item(self, row):
        first, *rest = row
        if len(rest) == 1:
            return item(first.text, rest[0].text)
        named = zip(self.header[1:], rest, strict=True)
        texts = [f"{name}: {cell.text}" for name, cell in named]
        return item(first.text, "; ".join(texts))

    def _line(self, texts, widths):
        padded = (
            text.ljust(width) if i < self.labels else text.rjust(width)
            for i, (text, width) in enumerate(zip(texts, widths, strict=True))
        )
        return f"| {' | '.join(padded)} |"


def item(name, text) -> str:
    """Returns one item of a list in Markdown, lines not longer than 80."""
    return textwrap.fill(
        " ".join(": ".join(filter(None, (name, text))).split()),
        80,
        initial_indent="* ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def escaped(text) -> str:
    """Returns text that Markdown shows as it is: one line, no cells, no HTML.

    A backslash keeps its meaning only before a bar, so it goes first.
    """
    text = " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")
    return text.replace("<", "&lt;")
