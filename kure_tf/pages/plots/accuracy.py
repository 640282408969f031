"""The plots of values against bits, one panel per SVG."""

from kure_tf.pages import labels
from kure_tf.pages.place import methods_in
from kure_tf.pages.plots import svg
from kure_tf.pages.plots.panel import (
    PANEL,
    Panel,
    draw_estimates,
    draw_float,
    shared,
    value_axis,
    value_limits,
)
from kure_tf.pages.series import bits_order, estimates_at, places_of


def accuracy_groups(series) -> dict:
    """Returns `{(whether activations are quantized, method): places}`.

    The places of one panel: they differ in bits and where steps come from.
    Groups at equal bits are left out, since they are no curve.
    """
    groups = {}
    for place in _plain(series):
        if not place.point.in_float:
            both = place.point.activation_bits is not None
            key = (both, shared(place.method))
            groups.setdefault(key, []).append(place)
    curves = [
        (key, places)
        for key, places in groups.items()
        if len({place.bits for place in places}) > 1
    ]
    return dict(sorted(curves, key=lambda item: item[0][0]))


def accuracy_panel(series, places, look, prefix, title) -> Panel:
    """Returns values against bits at `places`, one line per run and method.

    Args:
        series: All that is compared.
        places: Of one of `accuracy_groups`, or some of them.
        look: The `Look` of the section.
        prefix: Unique in the page.
        title: What all places share.
    """
    points = sorted({place.bits for place in places}, key=bits_order)
    positions = _positions(points)
    with svg.figure(*PANEL) as drawn:
        axes = drawn.add_subplot()
        for index, one in enumerate(series):
            for method in methods_in(places):
                estimates = {
                    positions[place.bits]: (place.label(), one.estimates[place])
                    for place in places
                    if place.method == method and place in one.estimates
                }
                line = look.line(index, method)
                draw_estimates(axes, estimates, one.name, **line)
            draw_float(axes, one, index, places[0].method)
        axes.set_xticks(
            list(positions.values()),
            [labels.long_bits(p).replace(" (", "\n(") for p in positions],
        )
        limits = value_limits(estimates_at(series, _plain(series)))
        value_axis(axes, series[0].metric, limits)
        return Panel(title, svg.to_svg(drawn, prefix, title))


def group_title(key, groups) -> str:
    """Returns what the places of a key of `accuracy_groups` share."""
    both, method = key
    what = "Weights and activations" if both else "Weights only"
    return ", ".join((what, *method.conditions([m for _, m in groups])))


def _plain(series):
    return [p for p in places_of(series) if not labels.rest(p.point)]


def _positions(points):
    """Returns {point: x}: true to scale if one number of bits says it all."""
    if all(p.activation_bits in (None, p.weight_bits) for p in points):
        return {point: -point.weight_bits for point in points}
    return {point: i for i, point in enumerate(points)}
