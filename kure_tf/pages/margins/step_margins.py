"""Step margins: how far the step size may be off."""

import dataclasses
import itertools
import math

from kure_tf.measurements.budget import within
from kure_tf.pages.method import Method


@dataclasses.dataclass(frozen=True)
class Side:
    """How far the step ratio may leave 1 on one side.

    Attributes:
        share: |ratio - 1| where the accuracy has fallen by the budget, or the
            end of the swept range if it has not.
        crossed: Whether it has. Where not, the truth is at least `share`.
        interval: What `share` becomes with one standard error of a difference
            less, and more, of budget: how well the images tell it.
    """

    share: float
    crossed: bool
    interval: tuple[float, float]


@dataclasses.dataclass(frozen=True)
class StepMargin:
    """One accuracy curve over step ratios, in a few numbers.

    What the swept ratios do not tell is None.

    Attributes:
        method: How the step sizes were found.
        bits: (weight bits, activation bits); None is float.
        ratios: The smallest and the largest ratio swept.
        smaller: How much too small the step may be.
        larger: How much too large it may be.
        mean_below: Mean accuracy from the smallest ratio to 1.
        mean_above: Mean accuracy from 1 to the largest ratio.
        mean: Mean accuracy over all of them.
    """

    method: Method
    bits: tuple
    ratios: tuple[float, float]
    smaller: Side | None
    larger: Side | None
    mean_below: float | None
    mean_above: float | None
    mean: float | None


def difference_error(estimate) -> float:
    """Returns the standard error of a difference of two such accuracies."""
    return math.sqrt(2) * estimate.standard_error


def step_curves(one) -> dict:
    """Returns `{(method, bits): {ratio: Estimate}}` of all step sweeps.

    Ratio 1 is taken from the bit-width sweep if the step sweep left it out.
    Ratios that only some of the seeds have been measured at are left out.
    """
    curves, at_one = {}, {}
    for place, estimate in one.estimates.items():
        key = (place.method, place.bits)
        if place.method.sweep or place.step_rounding or place.bits[0] is None:
            continue
        if place.varies_step:
            curves.setdefault(key, {})[place.step_scale] = estimate
        else:
            at_one[key] = estimate
    for key, curve in curves.items():
        if key in at_one:
            curve.setdefault(1.0, at_one[key])
    return {key: _of_all_seeds(curve) for key, curve in curves.items()}


def _of_all_seeds(curve):
    most = max(len(estimate.accuracies) for estimate in curve.values())
    return {
        ratio: estimate
        for ratio, estimate in sorted(curve.items())
        if len(estimate.accuracies) == most
    }


def step_margins(one, budget):
    """Yields the `StepMargin`s of a series; see `margins`.

    A single ratio is no curve, and has none.
    """
    for (method, bits), estimates in step_curves(one).items():
        if len(estimates) < 2:
            continue
        curve = {ratio: e.mean for ratio, e in estimates.items()}
        below = {r: a for r, a in curve.items() if r <= 1}
        above = {r: a for r, a in curve.items() if r >= 1}
        error = difference_error(estimates[1.0]) if 1.0 in curve else 0.0
        yield StepMargin(
            method,
            bits,
            (min(curve), max(curve)),
            smaller=_side(below, budget, error),
            larger=_side(above, budget, error),
            mean_below=_mean(below) if 1.0 in curve else None,
            mean_above=_mean(above) if 1.0 in curve else None,
            mean=_mean(curve),
        )


def _side(curve, budget, error):
    """Returns the `Side` of a curve that has ratio 1 at one of its ends."""
    if 1.0 not in curve or len(curve) < 2:
        return None
    share, crossed = _reach(curve, budget)
    least, most = (
        _reach(curve, max(0.0, budget + change))[0]
        for change in (-error, error)
    )
    return Side(share, crossed, (least, most))


def _reach(curve, budget):
    """Returns (distance from 1 at which `budget` is lost, whether it is)."""
    here = 1.0
    floor = curve[1.0] - budget
    for ratio in sorted(curve, key=lambda ratio: abs(ratio - 1)):
        if not within(floor - curve[ratio], 0.0):
            left = max(0.0, curve[here] - floor)
            part = left / (curve[here] - curve[ratio])
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
