"""The plots of accuracies in a report, one panel per SVG."""

import dataclasses
import math

from kure_tf.pages import labels
from kure_tf.pages.plots import svg
from kure_tf.pages.series import bits_order, places_of
from kure_tf.pages.tables.accuracy import step_estimates

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

_PANEL = (5.2, 3.1)
SMALL_PANEL = (5.2, 2.2)


@dataclasses.dataclass(frozen=True)
class Panel:
    """One plot with the words above it."""

    title: str
    svg: str
    reestimated: bool = False  # Whether batch norm is, on one of its lines.


def accuracy_panels(series) -> list[Panel]:
    """Returns accuracy against bits: one panel per kind and PTQ method."""
    places = [
        place
        for place in places_of(series)
        if place.bits != (None, None)
        and not place.varies_step
        and place.step_rounding is None
    ]
    groups = _grouped(
        places, lambda p: (p.activation_bits is not None, _without_bn(p.method))
    )
    limits = _accuracy_limits(series, places)
    panels = []
    for number, (kind, method) in enumerate(sorted(groups, key=lambda g: g[0])):
        what = "Weights and activations" if kind else "Weights only"
        title = f"{what}: {method.label(_methods(places))}"
        drawn = _accuracy_panel(
            series, groups[kind, method], limits, title, number
        )
        panels.append(Panel(title, drawn, _reestimated(groups[kind, method])))
    return panels


def step_panels(series) -> list[Panel]:
    """Returns accuracy against step ratio: a panel per bit-width and method."""
    places = [
        place
        for place in places_of(series)
        if place.varies_step and place.step_rounding is None
    ]
    groups = _grouped(places, lambda p: (p.bits, _without_bn(p.method)))
    limits = _accuracy_limits(series, places)
    panels = []
    order = sorted(groups, key=lambda group: bits_order(group[0]))
    for number, (bits, method) in enumerate(order):
        title = f"{labels.point(*bits)}: {method.label(_methods(places))}"
        methods = list(dict.fromkeys(p.method for p in groups[bits, method]))
        drawn = _step_panel(series, bits, methods, limits, title, number)
        panels.append(Panel(title, drawn, _reestimated(groups[bits, method])))
    return panels


def _grouped(places, key):
    groups = {}
    for place in places:
        groups.setdefault(key(place), []).append(place)
    return groups


def _reestimated(places):
    return any(place.method.reestimated_batch_norm for place in places)


def _methods(places):
    return [_without_bn(place.method) for place in places]


def _without_bn(method):
    return dataclasses.replace(method, reestimated_batch_norm=False)


def _accuracy_limits(series, places):
    """Returns one range in % for all panels, so that they compare."""
    values = [
        100 * estimate.mean
        for one in series
        for place, estimate in one.estimates.items()
        if place in places or place.bits == (None, None)
    ]
    if not values:
        return 0, 100
    low = 10 * math.floor((min(values) - 3) / 10)
    return max(0, low), min(101.5, max(values) + 4)


def _accuracy_panel(series, places, limits, title, number):
    points = sorted({place.bits for place in places}, key=bits_order)
    positions = _positions(points)
    with svg.figure(*_PANEL) as drawn:
        axes = drawn.add_subplot()
        for index, one in enumerate(series):
            for method in dict.fromkeys(place.method for place in places):
                estimates = {
                    positions[place.bits]: one.estimates[place]
                    for place in places
                    if place.method == method and place in one.estimates
                }
                _draw_line(axes, estimates, index, method)
            _draw_float(axes, one, index, places[0].method)
        axes.set_xticks(
            list(positions.values()),
            [labels.point(*bits).replace(" (", "\n(") for bits in positions],
        )
        _accuracy_axis(axes, limits)
        return svg.to_svg(drawn, f"accuracy-{number}", title)


def _positions(points):
    """Returns {bits: x}: true to scale if one number of bits says it all."""
    if all(a is None or a == w for w, a in points):
        return {bits: -bits[0] for bits in points}
    return {bits: i for i, bits in enumerate(points)}


def _step_panel(series, bits, methods, limits, title, number):
    with svg.figure(*_PANEL) as drawn:
        axes = drawn.add_subplot()
        axes.axvline(1, color=svg.MUTED, linewidth=0.8, zorder=1)
        ratios = {1.0}
        for index, one in enumerate(series):
            for method in methods:
                estimates = {
                    scale: estimate
                    for (scale, rounding), estimate in step_estimates(
                        one, method, bits
                    ).items()
                    if rounding is None
                }
                ratios.update(estimates)
                _draw_line(axes, estimates, index, method)
            _draw_float(axes, one, index, methods[0])
        _step_axis(axes, min(ratios), max(ratios))
        _accuracy_axis(axes, limits)
        return svg.to_svg(drawn, f"step-{number}", title)


def _step_axis(axes, low, high):
    if high / low > 4:
        axes.set_xscale("log")
        ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5) if low <= t <= high]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
        axes.minorticks_off()
    axes.set_xlabel("step size / calibrated step size")
    for x, side, text in (
        (0.0, "left", "\N{LEFTWARDS ARROW} step too small (clips)"),
        (1.0, "right", "step too large (coarser) \N{RIGHTWARDS ARROW}"),
    ):
        axes.text(
            x,
            1.02,
            text,
            transform=axes.transAxes,
            ha=side,
            va="bottom",
            color=svg.MUTED,
        )


def _draw_line(axes, estimates, index, method):
    if not estimates:
        return
    xs = sorted(estimates)
    means = [100 * estimates[x].mean for x in xs]
    spreads = [100 * _spread(estimates[x]) for x in xs]
    hollow = method.reestimated_batch_norm
    draw_curve(axes, xs, means, spreads, index, hollow=hollow)


def draw_curve(axes, xs, means, spreads, index, *, hollow=False):
    """Draws a line with a band around it, in the colour of run `index`.

    Args:
        axes: Matplotlib's.
        xs, means, spreads: Lists of equal length; the band is mean +- spread.
        index: Number of the run.
        hollow: Whether markers are hollow and the line dotted.
    """
    colour = svg.run_colour(index)
    axes.fill_between(
        xs,
        [m - s for m, s in zip(means, spreads, strict=True)],
        [m + s for m, s in zip(means, spreads, strict=True)],
        color=colour,
        alpha=0.16,
        linewidth=0,
    )
    axes.plot(
        xs,
        means,
        color=colour,
        marker=MARKERS[index % len(MARKERS)],
        markerfacecolor="none" if hollow else colour,
        linestyle=":" if hollow else "-",
    )


def _spread(estimate):
    if estimate.deviation is None:
        return estimate.sampling_error
    return estimate.deviation


def _draw_float(axes, one, index, method):
    estimate = one.float_estimate(method)
    if estimate is not None:
        axes.axhline(
            100 * estimate.mean,
            color=svg.run_colour(index),
            linewidth=1.0,
            linestyle=(index * 3, (5, 4)),  # Shifted, so that equals show.
        )


def _accuracy_axis(axes, limits):
    axes.set_ylim(*limits)
    axes.set_ylabel("top-1 accuracy, %")
