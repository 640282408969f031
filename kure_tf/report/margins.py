"""Margins: how far step and bits may go before accuracy falls by a budget."""

import dataclasses
import itertools
import math
import numbers
import statistics

from kure_tf.report.rows import Run
from kure_tf.report.series import Estimate, Method, Series, place_of

MEAN_BITS = range(2, 9)
WORST_LAYERS = 3

_ROUNDING_ERROR = 1e-9  # Of 0.87 - 0.86; far below one image.


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


@dataclasses.dataclass(frozen=True)
class BitMargin:
    """How few bits are within the budget of float.

    Attributes:
        method: How the step sizes were found.
        activations: Whether activations have as many bits as the weights
            (W=A), rather than being in float (weights only).
        lowest: The fewest weight bits that are within the budget, and with
            them all larger ones that were measured; None if there are none.
        passing: Fewer bits than those that are within it nevertheless.
        drops: `{weight bits: (float minus accuracy, its standard error)}`, as
            pairs from many bits to few.
        mean: Mean accuracy over the `mean_bits`; None if there are none.
        mean_bits: The weight bits of 2..8 that were measured.
    """

    method: Method
    activations: bool
    lowest: int | None
    passing: tuple[int, ...]
    drops: tuple
    mean: float | None
    mean_bits: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class LayerMargin:
    """The layers that lose most when they alone are quantized.

    Attributes:
        method: How the step sizes were found.
        point: The operating point of the one layer, such as "4/FP".
        worst: Up to three `(layer, drop, standard error of the drop)`, the
            largest drop against float first.
        count: How many layers were measured.
    """

    method: Method
    point: str
    worst: tuple
    count: int


@dataclasses.dataclass(frozen=True)
class Margins:
    """What `margins` finds for one model.

    Attributes:
        name: The run's.
        budget: The accuracy that may be lost, as a fraction.
        steps: A `StepMargin` for each step sweep.
        bits: A `BitMargin` for each PTQ method, weights only and W=A.
        layers: A `LayerMargin` for each sensitivity sweep.
    """

    name: str
    budget: float
    steps: tuple[StepMargin, ...]
    bits: tuple[BitMargin, ...]
    layers: tuple[LayerMargin, ...]


def margins(run, budget=0.01) -> Margins:
    """Returns how far step and bits may go for `budget` of accuracy.

    For each (PTQ method, scheme, batch norm) of the rows:

    * Step: from ratio 1 outwards, the accuracy is interpolated linearly
      between the swept ratios up to the first place where it is `budget` below
      that at ratio 1. Nothing is extrapolated. The mean accuracy is the area
      under the same lines (trapezoids) divided by the width of the range.
    * Bits: the fewest at which float is at most `budget` ahead.
    * Layers: those whose quantization alone costs most against float.

    Of several seeds, the mean accuracy counts. Standard errors treat two
    accuracies as independent; on the same images the truth is smaller.

    Args:
        run: A `Run`, or a `Series` of runs that are seeds of one.
        budget: Accuracy that may be lost: 0.01 is one point. Positive.

    Raises:
        TypeError: If `run` is something else.
        ValueError: If `budget` is not in 0..1.
    """
    one = Series(run.name, (run,)) if isinstance(run, Run) else run
    if not isinstance(one, Series):
        raise TypeError(
            "Expected a Run of a report, such as Report.load(path).runs[0], "
            f"or a Series. Received: {type(run).__name__}."
        )
    check_budget(budget)
    return Margins(
        one.name,
        float(budget),
        tuple(_step_margins(one, budget)),
        tuple(_bit_margins(one, budget)),
        tuple(_layer_margins(one)),
    )


def check_budget(budget):
    """Raises a ValueError unless `budget` is an accuracy above 0."""
    number = isinstance(budget, numbers.Real) and not isinstance(budget, bool)
    if not number or not 0 < budget <= 1:
        raise ValueError(
            "Expected an accuracy budget as a fraction above 0 and up to 1, "
            f"such as 0.01 for one point. Received: {budget!r}."
        )


def within(drop, budget) -> bool:
    """Returns whether a drop of accuracy is at most the budget."""
    return drop <= budget + _ROUNDING_ERROR


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


def _step_margins(one, budget):
    for (method, bits), estimates in step_curves(one).items():
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


def _bit_margins(one, budget):
    groups = {}
    for place, estimate in one.estimates.items():
        weights, activations = place.bits
        if (
            weights is None
            or activations not in (None, weights)
            or place.varies_step
            or place.step_rounding
            or place.method.sweep
        ):
            continue
        key = (place.method, activations is not None)
        groups.setdefault(key, {})[weights] = estimate
    for (method, both), estimates in sorted(groups.items(), key=_kind):
        in_float = one.float_estimate(method)
        if in_float is None or in_float.split != method.split:
            continue
        yield _bit_margin(method, both, estimates, in_float, budget)


def _kind(group):
    (_, both), _ = group
    return both


def _bit_margin(method, both, estimates, in_float, budget):
    order = sorted(estimates, reverse=True)
    drops = {bits: in_float.ahead_of(estimates[bits]) for bits in order}
    good = [bits for bits in order if within(drops[bits][0], budget)]
    unbroken = [
        bits
        for bits, expected in zip(good, order, strict=False)
        if bits == expected
    ]
    averaged = [bits for bits in order if bits in MEAN_BITS]
    return BitMargin(
        method,
        both,
        lowest=unbroken[-1] if unbroken else None,
        passing=tuple(good[len(unbroken) :]),
        drops=tuple(drops.items()),
        mean=statistics.fmean(estimates[bits].mean for bits in averaged)
        if averaged
        else None,
        mean_bits=tuple(averaged),
    )


def _layer_margins(one):
    for (method, point), estimates in _sensitivities(one).items():
        in_float = one.float_estimate(method)
        if in_float is None or in_float.split != method.split:
            continue
        drops = [
            (layer, *in_float.ahead_of(estimate))
            for layer, estimate in estimates.items()
        ]
        drops.sort(key=lambda found: -found[1])
        yield LayerMargin(
            method, point, tuple(drops[:WORST_LAYERS]), len(drops)
        )


def _sensitivities(one):
    """Returns `{(method, point): {layer: Estimate}}`."""
    rows = {}
    for row in (row for run in one.runs for row in run.rows):
        if row.sweep == "sensitivity" and row.layer is not None:
            method = dataclasses.replace(place_of(row).method, sweep=None)
            layers = rows.setdefault((method, row.point), {})
            layers.setdefault(row.layer, []).append(row)
    return {
        key: {
            layer: Estimate(
                tuple(row.accuracy for row in found),
                min(row.images for row in found),
                key[0].split,
            )
            for layer, found in layers.items()
        }
        for key, layers in rows.items()
    }
