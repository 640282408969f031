"""Curves of the paper and ours, side by side on common axes."""

from kure_tf.pages.plots import svg
from kure_tf.pages.plots.panel import MARKERS, PANEL, Panel, draw_curve
from kure_tf.paper.experiments.values import columns_of, in_order


def side_plots(one, number) -> list[Panel]:
    """Returns the paper's plot and ours, by a number in the page.

    A table has none.
    """
    if one.panel.axis == "table":
        return []
    sides = [("Paper", one.published), ("Here", one.measured)]
    shown = [(name, side) for name, side in sides if side]
    names = list(one.panel.series)
    axis = _Axis(one)
    return [
        Panel(
            name,
            _drawn(one, side, names, axis, f"panel-{number}-{name.lower()}"),
        )
        for name, side in shown
    ]


class _Axis:
    """Where columns lie, the same for both plots."""

    def __init__(self, one):
        columns = columns_of(one.published, one.measured)
        columns = in_order(columns, one.panel.axis)
        self.is_ratio = one.panel.axis == "ratio"
        if self.is_ratio:
            self.positions = {column: float(column) for column in columns}
            ours = [float(column) for column in columns_of(one.measured)]
            self.limits = min(ours) - 0.02, max(ours) + 0.02
        else:
            self.positions = {column: i for i, column in enumerate(columns)}
            self.limits = -0.3, len(columns) - 0.7
        sides = (one.published, one.measured)
        means = [v.mean for s in sides for x in s.values() for v in x.values()]
        self.heights = min(means) / 1.2, max(means) * 1.2

    def inside(self, values):
        """Returns the values that lie between the limits."""
        low, high = self.limits
        return {
            column: value
            for column, value in values.items()
            if low <= self.positions[column] <= high
        }


def _drawn(one, side, names, axis, prefix):
    with svg.figure(*PANEL) as drawn:
        axes = drawn.add_subplot()
        if axis.is_ratio:
            axes.axvline(1, color=svg.MUTED, linewidth=0.8, zorder=1)
        for index, name in enumerate(names):
            values = axis.inside(side.get(name, {}))
            _draw_series(axes, values, name, index, axis.positions)
        axes.set_xlim(*axis.limits)
        if one.panel.unit == "%":
            axes.set_ylim(0, 101)
        elif one.panel.axis == "given":
            axes.set_yscale("log")
            axes.set_ylim(*axis.heights)
        percent = one.panel.unit == "%"
        axes.set_ylabel("accuracy in %" if percent else one.panel.unit)
        if axis.is_ratio:
            axes.set_xlabel("step size / best step size")
        else:
            axes.set_xticks(list(axis.positions.values()), axis.positions)
        return svg.to_svg(drawn, prefix, f"{prefix}: {one.panel.title}")


def _draw_series(axes, values, name, index, positions):
    if not values:
        return
    columns = sorted(values, key=positions.get)
    xs = [positions[column] for column in columns]
    means = [values[column].mean for column in columns]
    errors = [values[column].standard_error for column in columns]
    texts = [f"{name}, {c}: {values[c].mean:.3g}" for c in columns]
    draw_curve(
        axes,
        xs,
        means,
        errors,
        texts,
        color=svg.run_colour(index),
        marker=MARKERS[index % len(MARKERS)],
    )
