"""A part of a sweep: its points are dealt to several processes, like cards."""

import dataclasses
import itertools
import re

_LEFT_OUT = object()


@dataclasses.dataclass(frozen=True)
class Shard:
    """One of `count` parts: of all rows those number index, index + count, ...

    Attributes:
        index: Which one, 0 .. count - 1.
        count: How many there are.
    """

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text) -> "Shard":
        """Reads "0/2", the first of two; returns a `Shard` as it is.

        Raises:
            ValueError: If the text is none, or names a part that is not there.
        """
        if isinstance(text, cls):
            return text
        match = re.fullmatch(r"(\d+)/(\d+)", str(text))
        if not match or not int(match[1]) < int(match[2]):
            raise ValueError(
                "Expected a shard 'index/count', counted from 0, such as '0/2' "
                f"and '1/2' for two halves. Received: {text!r}."
            )
        return cls(int(match[1]), int(match[2]))

    def __str__(self):
        return f"{self.index}/{self.count}"

    def own(self, items):
        """Returns which of `items` are its own."""
        return items[self.index :: self.count]


def gathered(hands) -> list:
    """Returns what was dealt to shards 0, 1, ..., in its order.

    Raises:
        ValueError: If one of them has too few or too many items.
    """
    turns = itertools.zip_longest(*hands, fillvalue=_LEFT_OUT)
    dealt = [item for turn in turns for item in turn]
    while dealt and dealt[-1] is _LEFT_OUT:
        dealt.pop()
    if _LEFT_OUT in dealt:
        raise ValueError(
            "Expected shards that have finished. Their numbers of rows do not "
            f"fit together: {[len(hand) for hand in hands]}. Run the command "
            "of the one that is behind again: it goes on where it was."
        )
    return dealt
