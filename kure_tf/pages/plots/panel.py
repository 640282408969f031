"""Panels: one plot each, and what panels of measured values share."""

import dataclasses
import math

from kure_tf.pages.elements import Key, run_keys
from kure_tf.pages.place import methods_in
from kure_tf.pages.plots import svg

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
PANEL = (5.2, 3.1)
SMALL_PANEL = (5.2, 2.2)
_DASHES = ("", "6 2", "2 1.5", "6 2 2 2", "9 2", "9 2 2 2 2 2", "1 3")


@dataclasses.dataclass(frozen=True)
class Panel:
    """One plot with the words above it."""

    title: str
    svg: str


@dataclasses.dataclass(frozen=True)
class Look:
    """How the lines of a panel look: colours are runs.

    Attributes:
        steps: Where step sizes come from, by `Method.steps`. One alone leaves
            the markers to the runs; several are told apart by markers and
            dashes.
    """

    steps: tuple[str, ...]

    @classmethod
    def of(cls, places) -> "Look":
        """Returns the look of all places of a section."""
        steps = (method.steps for method in methods_in(places))
        return cls(tuple(dict.fromkeys(steps)))

    def line(self, run, method) -> dict:
        """Returns Matplotlib's colour, marker and dashes of one line."""
        number = self.steps.index(method.steps)
        marker = number if len(self.steps) > 1 else run
        return {
            "color": svg.run_colour(run),
            "marker": MARKERS[marker % len(MARKERS)],
            "linestyle": _line_style(_dashes(number)),
        }

    def keys(self, names) -> list[Key]:
        """Returns the keys of runs and, if there are several, of steps."""
        if len(self.steps) == 1:
            return run_keys(names)
        return [
            *(Key(name, run=i) for i, name in enumerate(names)),
            *(
                Key(steps, marker=i, dashes=_dashes(i))
                for i, steps in enumerate(self.steps)
            ),
        ]


def _dashes(number):
    return _DASHES[number % len(_DASHES)]


def _line_style(dashes):
    return (0, tuple(map(float, dashes.split()))) if dashes else "-"


def draw_curve(axes, xs, means, spreads, texts, **look):
    """Draws a line with a band around it.

    Args:
        axes: Matplotlib's.
        xs, means, spreads: Lists of equal length; the band is mean +- spread.
        texts: What a mouse reveals of each marker.
        **look: Matplotlib's color, marker, linestyle.
    """
    axes.fill_between(
        xs,
        [m - s for m, s in zip(means, spreads, strict=True)],
        [m + s for m, s in zip(means, spreads, strict=True)],
        color=look["color"],
        alpha=0.16,
        linewidth=0,
    )
    (line,) = axes.plot(xs, means, **look)
    svg.explain(line, texts)


def draw_estimates(axes, estimates, name, **look):
    """Draws `{x: (what is there, Estimate)}` of the run `name`."""
    if not estimates:
        return
    xs = sorted(estimates)
    found = [estimates[x] for x in xs]
    factor = found[0][1].metric.factor
    draw_curve(
        axes,
        xs,
        [factor * estimate.mean for _, estimate in found],
        [factor * estimate.spread for _, estimate in found],
        [f"{name}, {at}: {e.in_words}" for at, e in found],
        **look,
    )


def draw_float(axes, one, index, method):
    """Draws the dashed line of a `Series` in float."""
    estimate = one.float_estimate(method)
    if estimate is not None:
        axes.axhline(
            one.metric.factor * estimate.mean,
            color=svg.run_colour(index),
            linewidth=0.8,
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


def shared(method):
    """Returns a method without its steps: what all lines of a panel share."""
    return dataclasses.replace(method, ptq=None)
