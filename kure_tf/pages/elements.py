"""What sections of a page are made of, as values; templates write them.

A section may also hold a `tables.table.Table`.
"""

import dataclasses
from typing import ClassVar


@dataclasses.dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: str
    kind: ClassVar[str] = "heading"


@dataclasses.dataclass(frozen=True)
class Caption:
    """The small print below a figure or table."""

    text: str
    kind: ClassVar[str] = "caption"


@dataclasses.dataclass(frozen=True)
class Panels:
    """`plots.panel.Panel`s side by side, each with its title above it.

    Attributes:
        panels: The panels.
        wide: Whether there is one, as wide as the page and without a title.
    """

    panels: tuple
    wide: bool = False
    kind: ClassVar[str] = "panels"


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


@dataclasses.dataclass(frozen=True)
class Legend:
    """What the lines of the figures below it mean."""

    keys: tuple[Key, ...]
    kind: ClassVar[str] = "legend"


@dataclasses.dataclass(frozen=True)
class Notes:
    """A list of sentences: `(emphasized beginning or "", text)`."""

    items: tuple[tuple[str, str], ...]
    kind: ClassVar[str] = "notes"


@dataclasses.dataclass(frozen=True)
class Folded:
    """Text as it is, which a click unfolds."""

    summary: str
    text: str
    kind: ClassVar[str] = "folded"


@dataclasses.dataclass(frozen=True)
class Section:
    """Parts under a heading."""

    heading: str
    parts: tuple


def run_keys(names) -> tuple[Key, ...]:
    """Returns a legend's keys for runs in the order of their colours."""
    return tuple(Key(name, run=index) for index, name in enumerate(names))
