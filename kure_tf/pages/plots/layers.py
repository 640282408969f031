"""The plots of what single layers cost."""

from kure_tf.pages.layers import (
    drops,
    layer_profiles,
    profile_label,
    worst_first,
)
from kure_tf.pages.place import methods_in
from kure_tf.pages.plots import svg
from kure_tf.pages.plots.panel import MARKERS, PANEL, Panel

_SHOWN = 25  # Layers; the tables name them all.


def layer_panels(series) -> list[Panel]:
    """Returns what is lost through each layer: a panel per profile."""
    panels = []
    profiles = layer_profiles(series)
    methods = methods_in(profiles)
    for number, (profile, layers) in enumerate(profiles.items()):
        title = profile_label(profile, methods)
        lost = [drops(one, profile, layers) for one in series]
        shown = worst_first(lost, layers)[:_SHOWN]
        metric = series[0].metric
        prefix = f"{metric.name}-layers-{number}"
        panels.append(Panel(title, _panel(lost, shown, metric, prefix, title)))
    return panels


def _panel(lost, layers, metric, prefix, title):
    with svg.figure(PANEL[0], 0.9 + 0.2 * len(layers)) as drawn:
        axes = drawn.add_subplot()
        axes.axvline(0, color=svg.MUTED, linewidth=0.8, zorder=1)
        for index, drops_of in enumerate(lost):
            found = [
                (metric.factor * drops_of[layer][0], height)
                for height, layer in enumerate(layers)
                if layer in drops_of
            ]
            (line,) = axes.plot(
                [drop for drop, _ in found],
                [height for _, height in found],
                linestyle="none",
                color=svg.run_colour(index),
                marker=MARKERS[index % len(MARKERS)],
            )
            texts = (
                f"{layers[height]}: {metric.points(drop / metric.factor)}"
                for drop, height in found
            )
            svg.explain(line, texts)
        axes.set_yticks(range(len(layers)), [_short(n) for n in layers])
        axes.set_ylim(len(layers) - 0.5, -0.5)
        axes.set_xlabel(f"{metric.lost}{metric.in_points}")
        return svg.to_svg(drawn, prefix, title)


def _short(layer):
    return layer if len(layer) <= 28 else f"...{layer[-25:]}"
