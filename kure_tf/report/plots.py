"""The plots of a report, one panel per SVG."""

import dataclasses
import math
import os
import statistics

from kure_tf.report import labels, svg
from kure_tf.report.series import bits_order, places_of
from kure_tf.report.tables import step_estimates

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
REFERENCES = {"uniform": 1.8, "normal": 3.0}

_PANEL = (5.2, 3.1)
_SMALL_PANEL = (5.2, 2.2)
_WIDE = 10.6
_KURTOSIS_TICKS = (1, 1.5, 1.8, 2, 2.5, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50)


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


def kurtosis_plot(series) -> Panel | None:
    """Returns the kurtosis of each layer before and after training."""
    layers = list(
        dict.fromkeys(
            layer
            for one in series
            for run in one.runs
            for layer in run.kurtosis
        )
    )
    if not layers:
        return None
    title = "Kurtosis of each layer's kernel before and after training"
    names = _short_names(layers)
    longest = max(len(name) for name in names)
    with svg.figure(_WIDE, 3.0 + 0.05 * min(longest, 30)) as drawn:
        axes = drawn.add_subplot()
        heights = []
        spacing = min(0.22, 0.8 / len(series))
        for index, one in enumerate(series):
            shift = spacing * (index - (len(series) - 1) / 2)
            heights += _draw_kurtosis(axes, one, index, layers, shift)
        _reference_lines(axes)
        _kurtosis_axis(axes, heights)
        _name_layers(axes, names)
        return Panel(title, svg.to_svg(drawn, "kurtosis", title))


def histogram_panels(series) -> dict[str, list[Panel]]:
    """Returns {layer: one panel per run} for the first two layers stored."""
    found = dict.fromkeys(
        layer for one in series for run in one.runs for layer in run.histograms
    )
    return {
        layer: _histograms(series, layer, number)
        for number, layer in enumerate(list(found)[:2])
    }


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


def _draw_kurtosis(axes, one, index, layers, shift):
    """Draws before (hollow) and after (filled); returns the heights."""
    colour = svg.run_colour(index)
    heights = []
    for x, layer in enumerate(layers):
        before = _mean_kurtosis(one, layer, "before")
        after = _mean_kurtosis(one, layer, "after")
        if before is not None and after is not None:
            axes.plot(
                [x + shift] * 2, [before, after], color=colour, linewidth=1
            )
        for value, fill in ((before, "none"), (after, colour)):
            if value is None:
                continue
            heights.append(value)
            axes.plot(
                [x + shift],
                [value],
                linestyle="none",
                marker=MARKERS[index % len(MARKERS)],
                color=colour,
                markerfacecolor=fill,
            )
    return heights


def _mean_kurtosis(one, layer, when):
    values = [
        run.kurtosis[layer].get(when)
        for run in one.runs
        if layer in run.kurtosis
    ]
    values = [value for value in values if value is not None]
    return statistics.fmean(values) if values else None


def _reference_lines(axes):
    for name, height in REFERENCES.items():
        axes.axhline(
            height,
            color=svg.MUTED,
            linewidth=1,
            linestyle=(0, (2, 2)),
            zorder=1,
        )
        axes.annotate(
            f"{name} {height:g}",
            (1, height),
            xycoords=axes.get_yaxis_transform(),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=svg.MUTED,
        )


def _kurtosis_axis(axes, heights):
    low = min([*heights, *REFERENCES.values()]) / 1.1
    high = max([*heights, *REFERENCES.values()]) * 1.15
    axes.set_yscale("log")
    ticks = [tick for tick in _KURTOSIS_TICKS if low <= tick <= high]
    ticks = [t for t in ticks if t not in (1.8, 2.5) or high < 8]
    ticks += [10**k for k in range(2, 9) if 10**k <= high]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(low, high)
    axes.set_ylabel("kurtosis (log scale)")


def _short_names(paths):
    """Returns the paths without what all of them share, or nearly all."""
    names = [path.removesuffix("/kernel") for path in paths]
    folders = [name[: name.rfind("/") + 1] for name in names]
    shared = os.path.commonprefix(folders)
    cut = shared.rfind("/") + 1 if len(names) > 1 else 0
    names = [name[cut:] for name in names]
    return [name if len(name) <= 32 else f"...{name[-29:]}" for name in names]


def _name_layers(axes, names):
    stride = math.ceil(len(names) / 60)
    axes.set_xticks(
        range(0, len(names), stride),
        names[::stride],
        rotation=55 if len(names) > 6 else 0,
        ha="right" if len(names) > 6 else "center",
        rotation_mode="anchor",
        fontsize=8 if len(names) <= 30 else 7,
    )
    axes.set_xlim(-0.6, len(names) - 0.4)


def _histograms(series, layer, number):
    shown = [
        (index, one, run)
        for index, one in enumerate(series)
        if (run := _with_histogram(one, layer)) is not None
    ]
    stored = [run.histograms[layer] for _, _, run in shown]
    low = min(histogram["edges"][0] for histogram in stored)
    high = max(histogram["edges"][-1] for histogram in stored)
    top = max(max(_density(histogram)) for histogram in stored)
    panels = []
    for index, one, run in shown:
        title = one.name
        if layer in run.kurtosis:
            title += f", kurtosis {run.kurtosis[layer]['after']:.2f}"
        drawn = _histogram(
            run.histograms[layer],
            index,
            (low, high),
            top,
            (f"histogram-{number}-{index}", f"Weights of {layer}: {title}"),
        )
        panels.append(Panel(title, drawn))
    return panels


def _with_histogram(one, layer):
    return next((run for run in one.runs if layer in run.histograms), None)


def _histogram(histogram, index, limits, top, naming):
    colour = svg.run_colour(index)
    with svg.figure(*_SMALL_PANEL) as drawn:
        axes = drawn.add_subplot()
        heights, edges = _density(histogram), histogram["edges"]
        axes.stairs(heights, edges, fill=True, color=colour, alpha=0.22)
        axes.stairs(heights, edges, color=colour, linewidth=1.2)
        axes.set_xlim(*limits)
        axes.set_ylim(0, top * 1.05)
        axes.set_xlabel("weight")
        axes.set_ylabel("density")
        return svg.to_svg(drawn, *naming)


def _density(histogram):
    edges, counts = histogram["edges"], histogram["counts"]
    total = sum(counts) or 1
    return [
        count / total / ((right - left) or 1)
        for count, left, right in zip(counts, edges, edges[1:], strict=False)
    ]
