"""Figures 1 and 2 of the paper, and what holds of Theorem 4."""

import contextlib

import numpy as np

from kure_tf.pages.plots import svg
from kure_tf.pages.plots.panel import MARKERS, PANEL, Panel, name_sides

# In the order of the series' colours and markers.
LABELS = {"uniform": "uniform", "normal": "normal", "laplace": "Laplace"}
ORDER = tuple(LABELS)

_COST_RATIOS = (0.6, 1.8)
_STEP = "step size / standard deviation"
_MSE = "MSE / variance"
_CURVATURE = "second derivative of the MSE"


def step_plots(study) -> list[Panel]:
    """Returns Figure 1: MSE, then curvature, against the step size.

    Two plots per distribution, all of one kind with one vertical axis.
    """
    low = min(np.min(one.mean_squared_error) for one in study.curves)
    high = max(np.max(one.mean_squared_error) for one in study.curves)
    # Small steps clip nearly everything: there it is 2 x 4^(bits - 1).
    top = 2 * max(one.best.curvature for one in study.curves)
    plots = []
    for one in study.curves:
        name = one.best.distribution.name
        title = f"{name.capitalize()}: error"
        with _plot(plots, title, f"error-{name}", _STEP, _MSE) as axes:
            _draw_error(axes, one)
            axes.set_ylim(10 ** np.floor(np.log10(low)), 1.5 * high)
            _log_axis(axes)
        title = f"{name.capitalize()}: curvature"
        with _plot(
            plots, title, f"curvature-{name}", _STEP, _CURVATURE
        ) as axes:
            _draw_curvature(axes, one)
            axes.set_ylim(-top, top)
    return plots


def bits_plots(study) -> list[Panel]:
    """Returns Figure 2, the smallest MSE against bits, and the curvature."""
    plots = []
    for title, field, label in (
        ("Smallest mean squared error", "mean_squared_error", _MSE),
        ("Curvature at the optimum", "curvature", _CURVATURE),
    ):
        with _plot(plots, title, f"bits-{field}", "bits", label) as axes:
            for index, name in enumerate(ORDER):
                rows = study.rows_of(name)
                axes.plot(
                    [row.exact.bits for row in rows],
                    [getattr(row.exact, field) for row in rows],
                    color=svg.run_colour(index),
                    marker=MARKERS[index],
                )
            _log_axis(axes)
            axes.set_xticks(study.bits)
    return plots


def ratio_plots(study) -> list[Panel]:
    """Returns MSE, and what deviating costs, against the step ratio."""
    plots = []
    for what, prefix, label in (
        ("Error at equal variance", "ratio-error", _MSE),
        ("Cost of a wrong step", "ratio-cost", "increase of the MSE"),
    ):
        title = f"{what}, {study.figure_bits} bits"
        below = "step size / best step size"
        with _plot(plots, title, prefix, below, label) as axes:
            axes.axvline(1, color=svg.MUTED, linewidth=0.8, zorder=1)
            for one in study.curves:
                _draw_sides(axes, one, is_cost=label != _MSE)
            _log_axis(axes)
            name_sides(axes)
    return plots


@contextlib.contextmanager
def _plot(plots, title, prefix, below, beside):
    """Gives empty axes and appends them to `plots` once they are drawn."""
    with svg.figure(*PANEL) as drawn:
        yield drawn.add_subplot(xlabel=below, ylabel=beside)
        plots.append(Panel(title, svg.to_svg(drawn, prefix, title)))


def _draw_error(axes, curves):
    colour = _colour(curves.best)
    _mark_optimum(axes, curves.best)
    axes.plot(curves.step_sizes, curves.mean_squared_error, color=colour)
    if curves.paper is not None:
        axes.plot(
            curves.step_sizes,
            curves.paper,
            color=svg.INK,
            linewidth=1.1,
            linestyle=(0, (3, 3)),
        )
    axes.plot(
        curves.simulated_step_sizes,
        curves.simulated,
        linestyle="none",
        marker="o",
        markersize=3.6,
        color=colour,
        markerfacecolor="none",
    )


def _draw_curvature(axes, curves):
    axes.axhline(0, color=svg.MUTED, linewidth=0.8, zorder=1)
    _mark_optimum(axes, curves.best)
    colour = _colour(curves.best)
    axes.plot(curves.step_sizes, curves.curvature, color=colour, linewidth=1.2)


def _draw_sides(axes, curves, is_cost):
    ratios = curves.step_sizes / curves.best.step_size
    shown = (ratios >= _COST_RATIOS[0]) & (ratios <= _COST_RATIOS[1])
    values = curves.mean_squared_error
    if is_cost:  # Zero at the optimum: a gap on a log axis.
        values = values - curves.best.mean_squared_error
        shown &= np.abs(ratios - 1) > 0.02
    for side in (shown & (ratios < 1), shown & (ratios >= 1)):
        axes.plot(ratios[side], values[side], color=_colour(curves.best))


def _colour(best):
    return svg.run_colour(ORDER.index(best.distribution.name))


def _log_axis(axes):
    """Makes the vertical axis logarithmic, with ticks that can be read."""
    axes.set_yscale("log")
    axes.minorticks_off()
    low, high = axes.get_ylim()
    if high / low < 100:
        first, last = np.floor(np.log10([low, high]))
        ticks = [
            digit * 10.0**power
            for power in np.arange(first, last + 1)
            for digit in (1, 2, 5)
            if low <= digit * 10.0**power <= high
        ]
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])


def _mark_optimum(axes, best):
    axes.axvline(best.step_size, color=svg.MUTED, linewidth=0.8, zorder=1)
    axes.annotate(
        f"optimum {best.step_size:.3g}",
        (best.step_size, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
        color=svg.MUTED,
    )
