"""Rows for presentation: those of one name over its seeds, by their places."""

import dataclasses
import functools
import math

from kure_tf.pages.estimate import Estimate
from kure_tf.pages.metric import Metric, metric_of, metrics_of
from kure_tf.pages.place import BITS, Place, place_of

_OWN_TABLES = ("tflite", "device")


@dataclasses.dataclass(frozen=True, eq=False)
class Series:
    """The runs of one name: one line of a plot, one row of a table.

    Attributes:
        name: Of its runs.
        runs: They differ in the seed of their training.
        metric: Only rows of this one count.
    """

    name: str
    runs: tuple
    metric: Metric = Metric()

    @functools.cached_property
    def rows(self) -> tuple[dict, ...]:
        """`{place: row}` of each run: of equal measurements one.

        That of the most examples; of equally many, the last one.
        """
        return tuple(self._measured_once(run) for run in self.runs)

    def _measured_once(self, run):
        rows = {}
        for row in run.rows:
            if metric_of(row) != self.metric or row.sweep in _OWN_TABLES:
                continue
            place = place_of(row)
            if place not in rows or row.examples >= rows[place].examples:
                rows[place] = row
        return rows

    @functools.cached_property
    def estimates(self) -> dict[Place, Estimate]:
        """The value at each place, over all runs that have one."""
        found = {}
        for rows in self.rows:
            for place, row in rows.items():
                found.setdefault(place, []).append(row)
        return {place: Estimate.of(rows) for place, rows in found.items()}

    def rows_at(self, places) -> list[list]:
        """Returns the rows at any of `places`, a list for each run with one."""
        found = [[rows[p] for p in places if p in rows] for rows in self.rows]
        return [rows for rows in found if rows]

    def rows_of(self, sweep) -> list:
        """Returns [(title of the run, row)] of "tflite" or "device"."""
        return [
            (self.title_of(run), row)
            for run in self.runs
            for row in run.rows
            if row.sweep == sweep and metric_of(row) == self.metric
        ]

    @property
    def seeds(self) -> int:
        """How many runs there are."""
        return len(self.runs)

    def title_of(self, run) -> str:
        """Returns the name of one of its runs, with the seed if there are."""
        return f"{run.name} (seed {run.seed})" if self.seeds > 1 else run.name

    def float_estimate(self, method=None) -> Estimate | None:
        """Returns the value in float, as near to `method` as there is."""
        found = {
            place.method: estimate
            for place, estimate in self.estimates.items()
            if place.table == BITS and place.point.in_float
        }

        def distance(candidate):
            if method is None:
                return candidate.reestimated_batch_norm
            return (
                candidate.split != method.split,
                candidate.placement != method.placement,
                candidate.reestimated_batch_norm
                != method.reestimated_batch_norm,
            )

        return found[min(found, key=distance)] if found else None

    def float_reference(self, method) -> Estimate | None:
        """Returns the value in float if it is of the method's split."""
        found = self.float_estimate(method)
        return found if found and found.split == method.split else None

    def curve(self, ratio, base) -> dict[float, Estimate]:
        """Returns `{ratio: Estimate}` over a `Ratio`, from its place at 1."""
        found = {
            ratio.of(place.point): estimate
            for place, estimate in self.estimates.items()
            if place.table == ratio.name and ratio.at_one(place) == base
        }
        if base in self.estimates:
            found[1.0] = self.estimates[base]
        return dict(sorted(found.items()))


def series_of(runs, metric=None) -> tuple[Series, ...]:
    """Returns `runs` grouped by name, in order of first appearance.

    What counts are rows of one `Metric`, the first one unless given.
    """
    runs = tuple(runs)
    metric = metric or metrics_of(runs)[0]
    groups = {}
    for run in runs:
        groups.setdefault(run.name, []).append(run)
    return tuple(
        Series(name, tuple(group), metric) for name, group in groups.items()
    )


def places_of(series, table=BITS) -> list[Place]:
    """Returns all places of one table, in order of first appearance."""
    places = dict.fromkeys(p for one in series for p in one.estimates)
    return [place for place in places if place.table == table]


def estimates_at(series, places) -> list[Estimate]:
    """Returns the estimates of all `series` at `places`."""
    found = (one.estimates.get(p) for one in series for p in places)
    return [estimate for estimate in found if estimate is not None]


def bases_of(series, ratio) -> list[Place]:
    """Returns the places at ratio 1 of all curves over a `Ratio`."""
    places = dict.fromkeys(map(ratio.at_one, places_of(series, ratio.name)))
    return sorted(places, key=lambda place: bits_order(place.point))


def bits_order(point):
    """Sorting key of an operating point's bits: FP first, then falling."""
    bits = (point.weight_bits, point.activation_bits)
    return tuple(-math.inf if b is None else -b for b in bits)
