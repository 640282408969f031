"""Plots of the sweeps beyond bits and weight steps."""

from kure_tf.report import svg
from kure_tf.report.dimension_tables import drops, sensitivity_groups
from kure_tf.report.plots import MARKERS, Panel

_WIDTH = 5.2
_SHOWN = 25  # Layers; the tables name them all.


def sensitivity_panels(series) -> list[Panel]:
    """Returns accuracy lost through each layer: a panel per point."""
    panels = []
    for number, (key, layers) in enumerate(sensitivity_groups(series).items()):
        title = f"{key.point}: {key.block.label}"
        lost = drops(series, key, layers)
        shown = dict(list(lost.items())[:_SHOWN])
        drawn = _panel(series, shown, f"sensitivity-{number}", title)
        panels.append(Panel(title, drawn))
    return panels


def _panel(series, lost, name, title):
    layers = list(lost)
    with svg.figure(_WIDTH, 0.9 + 0.2 * len(layers)) as drawn:
        axes = drawn.add_subplot()
        axes.axvline(0, color=svg.MUTED, linewidth=0.8, zorder=1)
        for index, one in enumerate(series):
            found = [
                (100 * lost[layer][one.name], height)
                for height, layer in enumerate(layers)
                if lost[layer].get(one.name) is not None
            ]
            axes.plot(
                [drop for drop, _ in found],
                [height for _, height in found],
                linestyle="none",
                color=svg.run_colour(index),
                marker=MARKERS[index % len(MARKERS)],
            )
        axes.set_yticks(range(len(layers)), [_short(n) for n in layers])
        axes.set_ylim(len(layers) - 0.5, -0.5)
        axes.set_xlabel("accuracy lost, points")
        return svg.to_svg(drawn, name, title)


def _short(layer):
    return layer if len(layer) <= 28 else f"...{layer[-25:]}"
