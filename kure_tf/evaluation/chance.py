"""Whether a classifier answers better than always the same class."""

import math
import warnings

import numpy as np

from kure_tf.data.batches import batches_of
from kure_tf.evaluation.keras_runner import keras_runner
from kure_tf.evaluation.model_accuracy import accuracy_of

_STRANGE = (
    "So what is measured of it says little. Is it trained, and are images and "
    "labels those that it was trained on?"
)
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

    def add_answers(self, accuracy, labels, outputs):
        """Counts a batch by its outputs.

        Args:
            accuracy: A `ModelAccuracy`.
            labels: The batch's labels.
            outputs: What the model answered.

        Returns:
            The labels, an array of one for each answer.
        """
        labels = accuracy.checked(labels, outputs.shape)
        self.add(labels, int((accuracy.answers(outputs) == labels).sum()))
        return labels

    def warn(self, name, question=_STRANGE):
        """Warns if the model `name` is no better than its commonest class.

        Better is by more than two standard errors sqrt(p (1 - p) / n).

        Args:
            name: Name of the model.
            question: What the warning ends in.
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
                f"{100 * share:.1f} %. {question}",
                stacklevel=2,
            )


def warn_at_chance(model, split, question):
    """Warns if a model is no better on a split than its commonest class.

    Args:
        model: A Keras model; nothing is said of one without an accuracy.
        split: A `Split`.
        question: What the warning ends in.
    """
    check, runner = ChanceCheck(), keras_runner(model)
    accuracy = accuracy_of(model, split.some_labels())
    if accuracy is None:
        return
    for batch in batches_of(split, runner):
        (outputs,) = runner.outputs(batch.inputs)
        check.add_answers(accuracy, batch.labels, outputs)
    check.warn(model.name, question)
