"""Whether a classifier answers better than always the same class."""

import math
import warnings

import numpy as np

_FEWEST = 50  # Below, a bad draw looks like a bad model.


class ChanceCheck:
    """Counts right answers and classes, batch by batch, and warns at the end.

    A model at chance level is one without its weights, or one that is fed
    other images or labels than it was trained on. What is measured of it says
    nothing.
    """

    def __init__(self):
        self._right = 0
        self._counts = {}

    def add(self, labels, right):
        """Counts a batch: its class numbers, and how many were right."""
        self._right += right
        classes, counts = np.unique(labels, return_counts=True)
        for label, count in zip(classes.tolist(), counts, strict=True):
            self._counts[label] = self._counts.get(label, 0) + int(count)

    def warn(self, name):
        """Warns if the model `name` is no better than its commonest class.

        Better is by more than two standard errors sqrt(p (1 - p) / n).
        """
        count = sum(self._counts.values())
        if count < _FEWEST or len(self._counts) < 2:
            return
        share = max(self._counts.values()) / count
        limit = share + 2 * math.sqrt(share * (1 - share) / count)
        if self._right / count <= limit:
            warnings.warn(
                f"{name!r} is right on {100 * self._right / count:.1f} % of "
                f"{count:,} labels; the commonest class alone is "
                f"{100 * share:.1f} %. So what is measured of it says little. "
                "Is it trained, and are images and labels those that it was "
                "trained on?",
                stacklevel=2,
            )
