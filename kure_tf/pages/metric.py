"""How the values of one metric read: accuracies in %, others as numbers."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric with its direction, and the words for its values.

    An accuracy is a share, shown in % and its differences in points. Other
    metrics are plain numbers in a unit of their own.

    Attributes:
        name: As rows have it, such as "mean_absolute_error".
        higher_is_better: Whether a larger value is the better one.
    """

    name: str = "accuracy"
    higher_is_better: bool = True

    @property
    def is_accuracy(self) -> bool:
        """Whether values are shares of right answers."""
        return self.name == "accuracy"

    @property
    def words(self) -> str:
        """Returns "accuracy" or "mean absolute error"."""
        return self.name.replace("_", " ")

    @property
    def heading(self) -> str:
        """Returns `words` as the beginning of a heading."""
        return self.words[:1].upper() + self.words[1:]

    @property
    def lost(self) -> str:
        """Returns what a worse value has: "accuracy lost", "loss added"."""
        return f"{self.words} {'lost' if self.higher_is_better else 'added'}"

    @property
    def axis(self) -> str:
        """Returns what an axis says."""
        return "top-1 accuracy, %" if self.is_accuracy else self.words

    @property
    def caption(self) -> str:
        """Returns "Top-1 accuracy in %." or "Loss, lower is better."."""
        if self.is_accuracy:
            return "Top-1 accuracy in %."
        better = "higher" if self.higher_is_better else "lower"
        return f"{self.heading}, {better} is better."

    @property
    def in_percent(self) -> str:
        """Returns what a heading of values ends in."""
        return " in %" if self.is_accuracy else ""

    @property
    def in_points(self) -> str:
        """Returns what a heading of differences ends in."""
        return " in points" if self.is_accuracy else ""

    @property
    def factor(self) -> float:
        """By what values are multiplied to be shown."""
        return 100.0 if self.is_accuracy else 1.0

    def text(self, value) -> str:
        """Returns a value: "87.4" or "0.4484"."""
        return f"{100 * value:.1f}" if self.is_accuracy else _number(value, 4)

    def value(self, value) -> str:
        """Returns a value in a sentence: "87.4 %" or "loss 0.4484"."""
        text = self.text(value)
        return f"{text} %" if self.is_accuracy else f"{self.words} {text}"

    def difference(self, value, digits=1) -> str:
        """Returns a difference: "5.0" or "0.0123"; errors have two digits."""
        if self.is_accuracy:
            # Adding 0.0 turns -0.0, a small difference, into 0.0.
            return f"{round(100 * value, digits) + 0.0:.{digits}f}"
        return _number(value, 4 - digits)

    def points(self, value, digits=1) -> str:
        """Returns a difference with its unit, if there is one."""
        unit = " points" if self.is_accuracy else ""
        return f"{self.difference(value, digits)}{unit}"

    def ahead(self, value, other) -> float:
        """Returns by how much `value` is better than `other`."""
        return value - other if self.higher_is_better else other - value

    def allowed(self, budget, reference) -> float:
        """Returns how much worse than `reference` a value may be.

        A budget is a share: of all answers for an accuracy, else of the
        reference.
        """
        return budget if self.is_accuracy else budget * abs(reference)

    def budget(self, budget) -> str:
        """Returns 0.01 as "1 point of accuracy" or "1 % of the loss"."""
        number = f"{100 * budget:g}"
        if not self.is_accuracy:
            return f"{number} % of the {self.words}"
        return f"{number} point{'' if number == '1' else 's'} of accuracy"


def metric_of(row) -> Metric:
    """Returns the metric of a row."""
    return Metric(row.metric, row.higher_is_better)


def metrics_of(runs) -> list[Metric]:
    """Returns the metrics of all rows, in order of first appearance."""
    found = dict.fromkeys(metric_of(row) for run in runs for row in run.rows)
    return list(found) or [Metric()]


def _number(value, digits):
    """Returns a number with so many digits that count, never as 1e+04."""
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text else text
