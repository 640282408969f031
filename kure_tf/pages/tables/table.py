"""A table as a value, and how it reads in Markdown."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell: what it says, what a mouse reveals, whether it is ahead."""

    text: str
    hint: str = ""
    strong: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """A table whose first `labels` columns name the row.

    Attributes:
        title: Its heading.
        header: One text per column; a line break separates two levels.
        rows: Tuples of `Cell`, as long as `header`. An empty label repeats
            the one above it.
        caption: What the numbers are, and how uncertain.
        labels: How many columns name the row.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    labels: int = 1

    def to_markdown(self) -> str:
        """Returns the table in Markdown, aligned to be read as it is."""
        header = [" ".join(text.split("\n")) for text in self.header]
        body = [[_escaped(cell.text) for cell in row] for row in self.rows]
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

    def _line(self, texts, widths):
        padded = (
            text.ljust(width) if i < self.labels else text.rjust(width)
            for i, (text, width) in enumerate(zip(texts, widths, strict=True))
        )
        return f"| {' | '.join(padded)} |"


def _escaped(text):
    return " ".join(text.split()).replace("|", "\\|")
