"""The plots of values against a ratio of step sizes."""

from kure_tf.pages import labels
from kure_tf.pages.plots import svg
from kure_tf.pages.plots.panel import (
    PANEL,
    Panel,
    draw_estimates,
    draw_float,
    name_sides,
    shared,
    value_axis,
    value_limits,
)
from kure_tf.pages.series import bases_of, estimates_at, places_of


def ratio_panels(series, ratio, look) -> list[Panel]:
    """Returns values against a `Ratio`: a panel per point."""
    groups = {}
    for base in bases_of(series, ratio):
        key = (base.point, shared(base.method))
        groups.setdefault(key, []).append(base)
    methods = [method for _, method in groups]
    in_float = [p for p in places_of(series) if p.point.in_float]
    shown = [*in_float, *places_of(series, ratio.name)]
    panels = []
    for number, ((point, method), bases) in enumerate(groups.items()):
        at = f"{labels.long_bits(point)} {labels.rest(point)}".rstrip()
        title = ", ".join((at, *method.conditions(methods)))
        limits = value_limits(estimates_at(series, shown))
        prefix = f"{series[0].metric.name}-{ratio.name}-{number}"
        drawn = _panel(series, ratio, bases, look, limits, prefix, title)
        panels.append(Panel(title, drawn))
    return panels


def _panel(series, ratio, bases, look, limits, prefix, title):
    with svg.figure(*PANEL) as drawn:
        axes = drawn.add_subplot()
        axes.axvline(1, color=svg.MUTED, linewidth=0.8, zorder=1)
        ratios = {1.0}
        for index, one in enumerate(series):
            for base in bases:
                estimates = {
                    at: (f"{base.label()}, step x{at:g}", estimate)
                    for at, estimate in one.curve(ratio, base).items()
                }
                ratios.update(estimates)
                line = look.line(index, base.method)
                draw_estimates(axes, estimates, one.name, **line)
            draw_float(axes, one, index, bases[0].method)
        _ratio_axis(axes, min(ratios), max(ratios))
        value_axis(axes, series[0].metric, limits)
        return svg.to_svg(drawn, prefix, title)


def _ratio_axis(axes, low, high):
    if high / low > 4:
        axes.set_xscale("log")
        ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5) if low <= t <= high]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
        axes.minorticks_off()
    axes.set_xlabel("step size / calibrated step size")
    name_sides(axes)
