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
            "folded" a text to click on and the text that it unfolds.
    """

    kind: str
    content: object


@dataclasses.dataclass(frozen=True)
class Section:
    """Parts under a heading."""

    heading: str
    parts: tuple[Part, ...]


@dataclasses.dataclass(frozen=True)
class Key:
    """One item of a legend: a text, and the line that it explains.

    Attributes:
        text: What the line is.
        run: Number of the run whose colour and marker it has; None: of no
            run in particular.
        dashes: Of a line of no run: SVG's `stroke-dasharray`.
        hollow: Whether that has a hollow marker.
    """

    text: str
    run: int | None = None
    dashes: str = ""
    hollow: bool = False


def run_keys(names) -> list[Key]:
    """Returns the keys of runs, in the order of their colours."""
    return [Key(name, run=index) for index, name in enumerate(names)]
