"""Figures 1 and 2 of the paper, and what holds of Theorem 4."""

import numpy as np

from kure_tf.pages.plots import svg
from kure_tf.pages.plots.accuracy import MARKERS, Panel

# In the order of the runs' colours and markers.
LABELS = {"uniform": "uniform", "normal": "normal", "laplace": "Laplace"}
ORDER = tuple(LABELS)

_PANEL = (5.2, 3.1)
_COST_RATIOS = (0.6, 1.8)


def step_panels(study) -> list[Panel]:
    """Returns Figure 1: MSE, then curvature, against the step size.

    Two panels per distribution, all of one kind with one vertical axis.
    """
    curves = study.curves
    low = min(np.min(one.mean_squared_error) for one in curves)
    high = max(np.max(one.mean_squared_error) for one in curves)
    limits = 10 ** np.floor(np.log10(low)), 1.5 * high
    # Small steps clip nearly everything: there it is 2 x 4^(bits - 1).
    top = 2 * max(one.best.curvature for one in curves)
    return [
        panel
        for one in curves
        for panel in (_error_panel(one, limits), _curvature_panel(one, top))
    ]


def bits_panels(study) -> list[Panel]:
    """Returns Figure 2, the smallest MSE against bits, and the curvature."""
    return [
        _bits_panel(
            study,
            "Smallest mean squared error",
            "MSE / variance",
            "mean_squared_error",
        ),
        _bits_panel(
            study,
            "Curvature at the optimum",
            "second derivative of the MSE",
            "curvature",
        ),
    ]


def _bits_panel(study, title, label, field):
    with svg.figure(*_PANEL) as drawn:
        axes = drawn.add_subplot()
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
        axes.set_xlabel("bits")
        axes.set_ylabel(label)
        return Panel(title, svg.to_svg(drawn, f"bits-{field}", title))


def ratio_panels(study) -> list[Panel]:
    """Returns MSE, and what deviating costs, against the step ratio."""
    errors = f"Error at equal variance, {study.figure_bits} bits"
    costs = f"Cost of a wrong step, {study.figure_bits} bits"
    return [
        _ratio_panel(study, errors, "ratio-error", "MSE / variance", False),
        _ratio_panel(study, costs, "ratio-cost", "increase of the MSE", True),
    ]


def _error_panel(curves, limits):
    name = curves.best.distribution.name
    colour = svg.run_colour(ORDER.index(name))
    title = f"{name.capitalize()}: error"
    with svg.figure(*_PANEL) as drawn:
        axes = drawn.add_subplot()
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
        axes.set_ylim(*limits)
        _log_axis(axes)
        axes.set_xlabel("step size / standard deviation")
        axes.set_ylabel("MSE / variance")
        return Panel(title, svg.to_svg(drawn, f"error-{name}", title))


def _curvature_panel(curves, top):
    name = curves.best.distribution.name
    title = f"{name.capitalize()}: curvature"
    with svg.figure(*_PANEL) as drawn:
        axes = drawn.add_subplot()
        axes.axhline(0, color=svg.MUTED, linewidth=0.8, zorder=1)
        _mark_optimum(axes, curves.best)
        axes.plot(
            curves.step_sizes,
            curves.curvature,
            color=svg.run_colour(ORDER.index(name)),
            linewidth=1.2,
        )
        axes.set_ylim(-top, top)
        axes.set_xlabel("step size / standard deviation")
        axes.set_ylabel("second derivative of the MSE")
        return Panel(title, svg.to_svg(drawn, f"curvature-{name}", title))


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


def _ratio_panel(study, title, prefix, label, subtract):
    with svg.figure(*_PANEL) as drawn:
        axes = drawn.add_subplot()
        axes.axvline(1, color=svg.MUTED, linewidth=0.8, zorder=1)
        for index, name in enumerate(ORDER):
            (curves,) = (
                one
                for one in study.curves
                if one.best.distribution.name == name
            )
            ratios = curves.step_sizes / curves.best.step_size
            shown = (ratios >= _COST_RATIOS[0]) & (ratios <= _COST_RATIOS[1])
            values = curves.mean_squared_error
            if subtract:  # Zero at the optimum: a gap on a log axis.
                values = values - curves.best.mean_squared_error
                shown &= np.abs(ratios - 1) > 0.02
            ratios, values = ratios[shown], values[shown]
            _draw_sides(axes, ratios, values, svg.run_colour(index))
        _log_axis(axes)
        axes.set_xlabel("step size / best step size")
        axes.set_ylabel(label)
        _name_sides(axes)
        return Panel(title, svg.to_svg(drawn, prefix, title))


def _draw_sides(axes, ratios, values, colour):
    for side in (ratios < 1, ratios >= 1):
        axes.plot(ratios[side], values[side], color=colour)


def _name_sides(axes):
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
