"""Curves of the paper and ours, side by side on common axes."""

from kure_tf.pages.plots import svg
from kure_tf.pages.plots.panel import PANEL, Panel, draw_curve
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


def _drawn(one, side, names, axis, prefix):
    with svg.figure(*PANEL) as drawn:
        axes = drawn.add_subplot()
        if axis.is_ratio:
            axes.axvline(1, color=svg.MUTED, linewidth=0.8, zorder=1)
        for index, name in enumerate(names):
            _draw_series(axes, side.get(name, {}), index, axis.positions)
        axes.set_xlim(*axis.limits)
        if one.panel.unit == "%":
            axes.set_ylim(0, 101)
        axes.set_ylabel("accuracy in %" if one.panel.unit == "%" else "")
        if axis.is_ratio:
            axes.set_xlabel("step size / best step size")
        else:
            axes.set_xticks(list(axis.positions.values()), axis.positions)
        return svg.to_svg(drawn, prefix, f"{prefix}: {one.panel.title}")


def _draw_series(axes, values, index, positions):
    points = sorted((positions[c], value) for c, value in values.items())
    if not points:
        return
    xs = [x for x, _ in points]
    means = [value.mean for _, value in points]
    errors = [value.standard_error for _, value in points]
    draw_curve(axes, xs, means, errors, index)
