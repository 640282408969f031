"""Groups rows for presentation: by run over its seeds, and by how measured."""

import dataclasses
import functools
import math
import statistics

from kure_tf.pages.dimensions import dimension_of
from kure_tf.pages.method import OWN_TABLES, Method, method_of


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a row belongs, whatever its run: a cell of a table."""

    method: Method
    weight_bits: int | None
    activation_bits: int | None
    step_scale: float = 1.0
    step_rounding: str | None = None
    varies_step: bool = False

    @property
    def bits(self):
        return self.weight_bits, self.activation_bits


@dataclasses.dataclass(frozen=True)
class Estimate:
    """One accuracy with its uncertainty, from one run or several seeds.

    Attributes:
        accuracies: One per seed, 0..1.
        images: How many images each was measured on.
        split: Which split they came from.
    """

    accuracies: tuple[float, ...]
    images: int
    split: str

    @property
    def mean(self):
        return statistics.fmean(self.accuracies)

    @property
    def deviation(self):
        """Standard deviation over seeds (n - 1), or None for one run."""
        several = len(self.accuracies) > 1
        return statistics.stdev(self.accuracies) if several else None

    @property
    def sampling_error(self):
        """sqrt(a (1 - a) / n), from the finite number of images."""
        return math.sqrt(self.mean * (1 - self.mean) / self.images)

    @property
    def standard_error(self):
        """Of the mean: the images' and, if known, the seeds' part."""
        seeds = (self.deviation or 0.0) / math.sqrt(len(self.accuracies))
        return math.hypot(self.sampling_error, seeds)

    def ahead_of(self, other) -> tuple[float, float]:
        """Returns the difference to `other` and its standard error.

        The two are treated as independent. They are not when both were
        measured on the same images, and then the truth is smaller.
        """
        return self.mean - other.mean, math.hypot(
            self.standard_error, other.standard_error
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Series:
    """The runs of one name: one line of a plot, one row of a table."""

    name: str
    runs: tuple

    @functools.cached_property
    def estimates(self) -> dict[Place, Estimate]:
        rows = {}
        for run in self.runs:
            for place, row in _rows_by_place(run).items():
                rows.setdefault(place, []).append(row)
        return {
            place: Estimate(
                tuple(row.value for row in found),
                min(row.examples for row in found),
                place.method.split,
            )
            for place, found in rows.items()
        }

    @property
    def seeds(self) -> int:
        return len(self.runs)

    def float_estimate(self, method=None) -> Estimate | None:
        """Returns the accuracy in float, as near to `method` as there is."""
        found = {
            place.method: estimate
            for place, estimate in self.estimates.items()
            if place.bits == (None, None)
        }
        if not found:
            return None

        def distance(candidate):
            if method is None:
                return candidate.reestimated_batch_norm
            return (
                candidate.split != method.split,
                candidate.scheme != method.scheme,
                candidate.reestimated_batch_norm
                != method.reestimated_batch_norm,
            )

        return found[min(found, key=distance)]


def series_of(runs) -> tuple[Series, ...]:
    """Returns `runs` grouped by name, in order of first appearance."""
    groups = {}
    for run in runs:
        groups.setdefault(run.name, []).append(run)
    return tuple(Series(name, tuple(group)) for name, group in groups.items())


def places_of(series) -> list[Place]:
    """Returns all places of all `series`, in order of first appearance."""
    return list(dict.fromkeys(p for one in series for p in one.estimates))


def place_of(row) -> Place:
    """Returns the place of one row."""
    return Place(
        method_of(row),
        row.point.weight_bits,
        row.point.activation_bits,
        step_scale=row.point.step_scale,
        step_rounding=row.point.step_rounding,
        varies_step=row.sweep == "step_size" or row.point.step_scale != 1.0,
    )


def bits_order(bits):
    """Sorting key of (weight bits, activation bits): FP first, then falling."""
    return tuple(-math.inf if b is None else -b for b in bits)


def _rows_by_place(run):
    rows = {}
    for row in run.rows:
        if row.sweep in OWN_TABLES or dimension_of(row) is not None:
            continue  # They have tables of their own.
        place = place_of(row)
        # Measured twice: more images tell more, else the later one holds.
        if place not in rows or row.examples >= rows[place].examples:
            rows[place] = row
    return rows
