"""What answers are held against: the labels, and another's answers."""

import dataclasses

import numpy as np

from kure_tf.evaluation import ModelLoss, loss_of
from kure_tf.evaluation.model_accuracy import ModelAccuracy, accuracy_of

_ROUNDING = 1e-12  # What float32 leaves of a power by rounding, squared.


@dataclasses.dataclass(frozen=True)
class Judge:
    """How answers of one model and its files are judged.

    Attributes:
        accuracy: The model's `ModelAccuracy`; None if labels are targets, of
            which no answer is right or wrong.
        loss: Its `ModelLoss` then; else None.
    """

    accuracy: ModelAccuracy | None
    loss: ModelLoss | None

    def score(self) -> "Score":
        """Returns a `Score` of no answers yet."""
        return Score(self)

    def likeness(self):
        """Returns how alike answers are, of none yet."""
        if self.accuracy is None:
            return _SameNumbers()
        return _SameAnswers(self.accuracy)


def judge_of(model, labels) -> Judge:
    """Returns the `Judge` of a Keras model.

    Args:
        model: The Keras model.
        labels: Some of its labels.

    Raises:
        ValueError: As `loss_of`.
    """
    accuracy = accuracy_of(model, labels)
    return Judge(accuracy, None if accuracy else loss_of(model, labels))


class Score:
    """How good the answers of a model or of a file are.

    Attributes:
        examples: How many were added.
    """

    def __init__(self, judge):
        self._judge, self.examples = judge, 0
        self._right = self._lost = 0.0

    def add(self, labels, outputs, answered=1):
        """Adds a batch.

        Args:
            labels: Its labels.
            outputs: What was answered.
            answered: Of each example whether it counts as an answer at all.
        """
        self.examples += len(outputs)
        if self._judge.accuracy is not None:
            right = self._judge.accuracy(labels, outputs) * answered
            self._right += float(right.sum())
        if self._judge.loss is not None:
            self._lost += float(self._judge.loss(labels, outputs).sum())

    @property
    def loss_name(self) -> str | None:
        """What the loss is, or None."""
        return None if self._judge.loss is None else self._judge.loss.name

    @property
    def right(self) -> float | None:
        """How many answers were right; None where none is right or wrong."""
        return None if self._judge.accuracy is None else self._right

    @property
    def accuracy(self) -> float | None:
        """The share of right answers (0..1), or None."""
        return None if self.right is None else self._right / self.examples

    @property
    def loss(self) -> float | None:
        """The mean loss; None where answers are right or wrong."""
        if self._judge.loss is None:
            return None
        return self._lost / self.examples


class _SameAnswers:
    """The share of answers that are the same."""

    def __init__(self, accuracy):
        self._accuracy = accuracy
        self._examples, self._same = 0, 0.0

    def add(self, expected, received, answered=1):
        self._examples += len(expected)
        same = self._accuracy(self._accuracy.answers(expected), received)
        same = same * answered
        self._same += float(same.sum())

    @property
    def value(self):
        return self._same / self._examples


class _SameNumbers:
    """The share of the variance of numbers that others reproduce.

        1 - sum_i |received_i - expected_i|^2 / sum_i |expected_i - mean|^2

    at least 0, mean being that of each value over the examples. Where these do
    not vary, or there is one, their power sum_i |expected_i|^2 takes the place
    of the variance.
    """

    def __init__(self):
        self._count, self._mean, self._power = 0, 0.0, 0.0
        self._apart = self._varied = 0.0

    def add(self, expected, received, answered=1):
        expected = np.asarray(expected, np.float64)
        self._apart += float(np.square(received - expected).sum())
        self._power += float(np.square(expected).sum())
        count, mean = len(expected), expected.mean(0)
        varied = np.square(expected - mean).sum()
        # Two means and their distance give the variance of both together.
        apart, whole = mean - self._mean, self._count + count
        varied += np.square(apart).sum() * self._count * count / whole
        self._varied += float(varied)
        self._mean = self._mean + apart * count / whole
        self._count = whole

    @property
    def value(self):
        if not np.isfinite(self._apart):
            return 0.0
        varies = self._varied > _ROUNDING * self._power
        whole = self._varied if varies else self._power
        if self._apart >= whole:
            return float(self._apart == 0)
        return 1 - self._apart / whole
