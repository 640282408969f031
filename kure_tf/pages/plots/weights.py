"""Plots of the weights of a report's models: kurtosis and histograms."""

import math
import os

from kure_tf.pages.plots import svg
from kure_tf.pages.plots.panel import MARKERS, SMALL_PANEL, Panel
from kure_tf.pages.tables.models import layers_of, mean_kurtosis

REFERENCES = {"uniform": 1.8, "normal": 3.0}

_WIDE = 10.6
_KURTOSIS_TICKS = (1, 1.5, 1.8, 2, 2.5, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50)


def kurtosis_plot(series) -> Panel | None:
    """Returns the kurtosis of each layer before and after training."""
    layers = layers_of(series, "kurtosis")
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
    layers = layers_of(series, "histograms")[:2]
    return {
        layer: _histograms(series, layer, number)
        for number, layer in enumerate(layers)
    }


def _draw_kurtosis(axes, one, index, layers, shift):
    """Draws before (hollow) and after (filled); returns the heights."""
    colour = svg.run_colour(index)
    heights = []
    for x, layer in enumerate(layers):
        before, after = mean_kurtosis(one, [layer])
        if before is not None and after is not None:
            axes.plot(
                [x + shift] * 2, [before, after], color=colour, linewidth=1
            )
        for value, fill in ((before, "none"), (after, colour)):
            if value is None:
                continue
            heights.append(value)
            (mark,) = axes.plot(
                [x + shift],
                [value],
                linestyle="none",
                marker=MARKERS[index % len(MARKERS)],
                color=colour,
                markerfacecolor=fill,
            )
            svg.explain(mark, [f"{one.name}, {layer}: {value:.2f}"])
    return heights


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
    with svg.figure(*SMALL_PANEL) as drawn:
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
