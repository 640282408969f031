"""What pages are made of, as values; templates write them."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Part:
    """One part of a section.

    Attributes:
        kind: The macro of templates/elements.html that writes it.
        content: What that takes. "heading" and "caption" take a text,
            "table" a `Table`, "legend" `Key`s, "panels" `Panel`s to stand
            side by side, "wide" one `Panel` of the page's width, "notes"
            pairs of an emphasized beginning, which may be empty, and a text,
            "folded" a text to click on and the text that it unfolds,
            "figures" `Figure`s.
    """

    kind: str
    content: object


@dataclasses.dataclass(frozen=True)
class Section:
    """Parts under a heading."""

    heading: str
    parts: tuple[Part, ...]


@dataclasses.dataclass(frozen=True)
class Figure:
    """One number that a person wants first.

    Attributes:
        name: What it is of: "Cost in float".
        value: With its unit: "0.6 points".
        details: What it compares with, and how certain it is.
    """

    name: str
    value: str
    details: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Key:
    """One item of a legend: a text, and the line that it explains.

    Attributes:
        text: What the line is.
        run: Number of the run whose colour it has; None: of no run in
            particular.
        marker: Number of its marker; None: it has none.
        dashes: SVG's `stroke-dasharray`; empty: a solid line.
        hollow: Whether the marker is hollow.
    """

    text: str
    run: int | None = None
    marker: int | None = None
    dashes: str = ""
    hollow: bool = False


def run_keys(names) -> list[Key]:
    """Returns the keys of runs, in the order of their colours."""
    return [Key(name, run=i, marker=i) for i, name in enumerate(names)]
