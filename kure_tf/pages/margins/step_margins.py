"""Step margins: how far the step size may be off."""

import dataclasses
import itertools
import math

from kure_tf.measurements.budget import within
from kure_tf.pages import labels
from kure_tf.pages.dimensions import STEPS
from kure_tf.pages.place import Place
from kure_tf.pages.series import bases_of


@dataclasses.dataclass(frozen=True)
class Side:
    """How far the step ratio may leave 1 on one side.

    Attributes:
        share: |ratio - 1| where the value has fallen by the budget, or the
            end of the swept range if it has not.
        crossed: Whether it has. Where not, the truth is at least `share`.
        interval: What `share` becomes with one standard error of a difference
            less, and more, of budget: how well the examples tell it.
    """

    share: float
    crossed: bool
    interval: tuple[float, float]


@dataclasses.dataclass(frozen=True)
class StepMargin:
    """One curve of values over step ratios, in a few numbers.

    What the swept ratios do not tell is None.

    Attributes:
        place: Where it has ratio 1.
        ratios: The smallest and the largest ratio swept.
        smaller: How much too small the step may be.
        larger: How much too large it may be.
        mean_below: Mean value from the smallest ratio to 1.
        mean_above: Mean value from 1 to the largest ratio.
        mean: Mean value over all of them.
        difference_error: Standard error of a difference of two such values,
            0 where it is not known.
    """

    place: Place
    ratios: tuple[float, float]
    smaller: Side | None
    larger: Side | None
    mean_below: float | None
    mean_above: float | None
    mean: float | None
    difference_error: float

    @property
    def method(self):
        """How the step sizes were found."""
        return self.place.method

    @property
    def label(self) -> str:
        """The point in words."""
        return labels.point(self.place.point)


def step_margins(one, budget):
    """Yields the `StepMargin`s of a series; see `margins`.

    A single ratio is no curve, and has none. Ratios that only some of the
    seeds have been measured at are left out.
    """
    for place in bases_of([one], STEPS):
        curve = _of_all_seeds(one.curve(STEPS, place))
        if len(curve) > 1 and not place.method.sweep:
            yield _step_margin(place, curve, one.metric, budget)


def _of_all_seeds(curve):
    most = max(len(estimate.values) for estimate in curve.values())
    return {r: e for r, e in curve.items() if len(e.values) == most}


def _step_margin(place, estimates, metric, budget):
    curve = {ratio: e.mean for ratio, e in estimates.items()}
    below = {ratio: value for ratio, value in curve.items() if ratio <= 1}
    above = {ratio: value for ratio, value in curve.items() if ratio >= 1}
    error = (1.0 in curve and estimates[1.0].standard_error) or 0.0
    error *= math.sqrt(2)

    def side(part):
        if 1.0 not in part or len(part) < 2:
            return None
        lost = {r: metric.ahead(part[1.0], value) for r, value in part.items()}
        allowed = metric.allowed(budget, part[1.0])
        return _side(lost, allowed, error)

    return StepMargin(
        place,
        (min(curve), max(curve)),
        smaller=side(below),
        larger=side(above),
        mean_below=_mean(below) if 1.0 in curve else None,
        mean_above=_mean(above) if 1.0 in curve else None,
        mean=_mean(curve),
        difference_error=error,
    )


def _side(lost, allowed, error):
    share, crossed = _reach(lost, allowed)
    interval = tuple(
        _reach(lost, max(0.0, allowed + change))[0]
        for change in (-error, error)
    )
    return Side(share, crossed, interval)


def _reach(lost, allowed):
    """Returns (distance from 1 at which `allowed` is lost, whether it is).

    Args:
        lost: `{ratio: what is lost there}` on one side of 1.
        allowed: What may be lost.
    """
    here = 1.0
    for ratio in sorted(lost, key=lambda ratio: abs(ratio - 1)):
        if not within(lost[ratio], allowed):
            left = max(0.0, allowed - lost[here])
            part = left / (lost[ratio] - lost[here])
            return abs(here + part * (ratio - here) - 1), True
        here = ratio
    return abs(here - 1), False


def _mean(curve):
    """Returns the mean height of the straight lines through the points."""
    points = sorted(curve.items())
    if len(points) < 2:
        return None
    area = sum(
        (right - left) * (high + low) / 2
        for (left, low), (right, high) in itertools.pairwise(points)
    )
    return area / (points[-1][0] - points[0][0])
