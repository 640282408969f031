"""Curves of the paper and ours, side by side on common axes."""

from kure_tf.pages.plots import svg
from kure_tf.pages.plots.accuracy import Panel, draw_curve
from kure_tf.paper.experiments.text import bits_order
from kure_tf.paper.experiments.values import places_of

_PANEL = (5.2, 3.1)


def part_panels(one, number) -> list[Panel]:
    """Returns the paper's panel and ours; none for a table.

    Args:
        one: A `PartOutcome`.
        number: Unique in the page.
    """
    if one.part.axis == "table":
        return []
    sides = [("Paper", one.published), ("Here", one.measured)]
    shown = [(name, side) for name, side in sides if side]
    runs = list(one.part.runs)
    axis = _Axis(one)
    return [
        Panel(
            name,
            _drawn(one, side, runs, axis, f"part-{number}-{name.lower()}"),
        )
        for name, side in shown
    ]


class _Axis:
    """Where places lie, the same for both panels."""

    def __init__(self, one):
        places = places_of(one.published, one.measured)
        self.is_ratio = one.part.axis == "ratio"
        if self.is_ratio:
            self.positions = {place: float(place) for place in places}
            ours = [float(place) for place in places_of(one.measured)]
            self.limits = min(ours) - 0.02, max(ours) + 0.02
        else:
            ordered = sorted(places, key=bits_order)
            self.positions = {place: i for i, place in enumerate(ordered)}
            self.limits = -0.3, len(ordered) - 0.7


def _drawn(one, side, runs, axis, prefix):
    with svg.figure(*_PANEL) as drawn:
        axes = drawn.add_subplot()
        if axis.is_ratio:
            axes.axvline(1, color=svg.MUTED, linewidth=0.8, zorder=1)
        for index, run in enumerate(runs):
            _draw_run(axes, side.get(run, {}), index, axis.positions)
        axes.set_xlim(*axis.limits)
        if one.part.unit == "%":
            axes.set_ylim(0, 101)
        axes.set_ylabel("accuracy in %" if one.part.unit == "%" else "")
        if axis.is_ratio:
            axes.set_xlabel("step size / best step size")
        else:
            axes.set_xticks(list(axis.positions.values()), axis.positions)
        return svg.to_svg(drawn, prefix, f"{prefix}: {one.part.title}")


def _draw_run(axes, values, index, positions):
    points = sorted((positions[p], value) for p, value in values.items())
    if not points:
        return
    xs = [x for x, _ in points]
    means = [value.mean for _, value in points]
    errors = [value.error for _, value in points]
    draw_curve(axes, xs, means, errors, index)
