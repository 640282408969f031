"""Panels: one plot each, and what panels of measured values share."""

import dataclasses
import math

from kure_tf.pages.plots import svg

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
PANEL = (5.2, 3.1)
SMALL_PANEL = (5.2, 2.2)


@dataclasses.dataclass(frozen=True)
class Panel:
    """One plot with the words above it."""

    title: str
    svg: str
    reestimated: bool = False  # Whether batch norm is, on one of its lines.


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


def draw_estimates(axes, estimates, index, method):
    """Draws `{x: Estimate}` of run `index`, dotted if batch norm is again."""
    if not estimates:
        return
    xs = sorted(estimates)
    factor = estimates[xs[0]].metric.factor
    means = [factor * estimates[x].mean for x in xs]
    spreads = [factor * estimates[x].spread for x in xs]
    hollow = method.reestimated_batch_norm
    draw_curve(axes, xs, means, spreads, index, hollow=hollow)


def draw_float(axes, one, index, method):
    """Draws the dashed line of a `Series` in float."""
    estimate = one.float_estimate(method)
    if estimate is not None:
        axes.axhline(
            one.metric.factor * estimate.mean,
            color=svg.run_colour(index),
            linewidth=1.0,
            linestyle=(index * 3, (5, 4)),  # Shifted, so that equals show.
        )


def name_sides(axes):
    """Says above both ends of an axis of step ratios what is wrong there."""
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


def value_axis(axes, metric, limits):
    """Names the vertical axis and gives it the range of `value_limits`."""
    axes.set_ylim(*limits)
    axes.set_ylabel(metric.axis)


def value_limits(estimates) -> tuple[float, float]:
    """Returns one range for all panels of `estimates`, so that they compare."""
    metric = estimates[0].metric
    values = [metric.factor * estimate.mean for estimate in estimates]
    low, high = min(values), max(values)
    if metric.is_accuracy:
        low = 10 * math.floor((low - 3) / 10)
        return max(0, low), min(101.5, high + 4)
    margin = 0.06 * (high - low or abs(high) or 1.0)
    return low - margin, high + margin


def without_batch_norm(method):
    """Returns a method as if batch norm were as trained: for one panel."""
    return dataclasses.replace(method, reestimated_batch_norm=False)
