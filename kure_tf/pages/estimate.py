"""One measured value with its uncertainty."""

import dataclasses
import math
import statistics

from kure_tf.pages import labels
from kure_tf.pages.metric import Metric, metric_of


@dataclasses.dataclass(frozen=True)
class Estimate:
    """One value with its uncertainty, from one run or several seeds.

    Attributes:
        values: One per seed.
        errors: The standard error of each, from the finite number of
            examples; None where not known.
        examples: How many examples each was measured on.
        split: Which split they came from.
        metric: What was measured.
    """

    values: tuple[float, ...]
    errors: tuple[float | None, ...]
    examples: int
    split: str = ""
    metric: Metric = Metric()

    @classmethod
    def of(cls, rows) -> "Estimate":
        """Returns the estimate of rows that differ in the seed alone."""
        return cls(
            tuple(row.value for row in rows),
            tuple(row.standard_error for row in rows),
            min(row.examples for row in rows),
            rows[0].split,
            metric_of(rows[0]),
        )

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def seeds(self) -> int:
        """How many training runs it is the mean of."""
        return len(self.values)

    @property
    def deviation(self) -> float | None:
        """Standard deviation over seeds (n - 1), or None for one run."""
        several = len(self.values) > 1
        return statistics.stdev(self.values) if several else None

    @property
    def sampling_error(self) -> float | None:
        """Standard error of one value; of several, their root mean square."""
        if None in self.errors:
            return None
        return math.sqrt(statistics.fmean(e**2 for e in self.errors))

    @property
    def spread(self) -> float:
        """What bands show: the deviation, else the error, else nothing."""
        if self.deviation is not None:
            return self.deviation
        return self.sampling_error or 0.0

    @property
    def seed_error(self) -> float | None:
        """Standard error of the mean from training seeds; None for one run."""
        if self.deviation is None:
            return None
        return self.deviation / math.sqrt(len(self.values))

    @property
    def standard_error(self) -> float | None:
        """Of the mean: the examples' and, if known, the seeds' part."""
        if self.sampling_error is None:
            return None
        return math.hypot(self.sampling_error, self.seed_error or 0.0)

    @property
    def in_words(self) -> str:
        """The value and how certain it is."""
        return f"{self.metric.value(self.mean)}, {uncertainty(self)}"

    def ahead_of(self, other) -> tuple[float, float | None]:
        """Returns by how much it is better, and the error of that.

        The two are treated as independent. They are not when both were
        measured on the same examples, and then the truth is smaller.
        """
        difference = self.metric.ahead(self.mean, other.mean)
        errors = (self.standard_error, other.standard_error)
        return difference, None if None in errors else math.hypot(*errors)

    def clearly_ahead_of(self, other) -> bool:
        """Whether it is better by more than two standard errors."""
        difference, error = self.ahead_of(other)
        return error is not None and difference > 2 * error


def uncertainty(*estimates) -> str:
    """Returns how certain the difference of estimates is, or one of them.

    What other examples would change and what other training seeds would are
    told apart: "± 0.5 points from the examples, one training run each".
    """
    points = estimates[0].metric.points
    texts = []
    sampling = [estimate.sampling_error for estimate in estimates]
    if None not in sampling:
        texts.append(f"± {points(math.hypot(*sampling))} from the examples")
    seeds = [estimate.seed_error or 0.0 for estimate in estimates]
    runs = labels.trained(estimates)
    texts.append(
        f"± {points(math.hypot(*seeds))} from {runs}" if any(seeds) else runs
    )
    return ", ".join(texts)
