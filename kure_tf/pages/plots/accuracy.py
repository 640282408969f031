"""The plots of values against bits, one panel per SVG."""

from kure_tf.pages import labels
from kure_tf.pages.place import methods_in
from kure_tf.pages.plots import svg
from kure_tf.pages.plots.panel import (
    PANEL,
    Panel,
    draw_estimates,
    draw_float,
    value_axis,
    value_limits,
    without_batch_norm,
)
from kure_tf.pages.series import bits_order, estimates_at, places_of


def accuracy_panels(series) -> list[Panel]:
    """Returns values against bits: one panel per kind and PTQ method."""
    groups = {}
    plain = [p for p in places_of(series) if not labels.rest(p.point)]
    for place in plain:
        if not place.point.in_float:
            kind = place.point.activation_bits is not None
            key = (kind, without_batch_norm(place.method))
            groups.setdefault(key, []).append(place)
    methods = [method for _, method in groups]
    panels = []
    for number, key in enumerate(sorted(groups, key=lambda key: key[0])):
        what = "Weights and activations" if key[0] else "Weights only"
        title = f"{what}: {key[1].label(methods)}"
        limits = value_limits(estimates_at(series, plain))
        prefix = f"{series[0].metric.name}-{number}"
        drawn = _panel(series, groups[key], limits, prefix, title)
        again = any(p.method.reestimated_batch_norm for p in groups[key])
        panels.append(Panel(title, drawn, again))
    return panels


def _panel(series, places, limits, prefix, title):
    points = sorted({place.bits for place in places}, key=bits_order)
    positions = _positions(points)
    with svg.figure(*PANEL) as drawn:
        axes = drawn.add_subplot()
        for index, one in enumerate(series):
            for method in methods_in(places):
                estimates = {
                    positions[place.bits]: one.estimates[place]
                    for place in places
                    if place.method == method and place in one.estimates
                }
                draw_estimates(axes, estimates, index, method)
            draw_float(axes, one, index, places[0].method)
        axes.set_xticks(
            list(positions.values()),
            [labels.long_bits(p).replace(" (", "\n(") for p in positions],
        )
        value_axis(axes, series[0].metric, limits)
        return svg.to_svg(drawn, prefix, title)


def _positions(points):
    """Returns {point: x}: true to scale if one number of bits says it all."""
    if all(p.activation_bits in (None, p.weight_bits) for p in points):
        return {point: -point.weight_bits for point in points}
    return {point: i for i, point in enumerate(points)}
