"""Plots of the sweeps beyond bits and weight steps."""

from kure_tf.pages.dimensions import found_in, mean, methods_in
from kure_tf.pages.layer_sweeps import drops, layer_sweeps
from kure_tf.pages.plots import svg
from kure_tf.pages.plots.accuracy import MARKERS, Panel
from kure_tf.pages.tables.ratios import RATIOS, ratio_of

_WIDTH = 5.2
_SHOWN = 25  # Layers; the tables name them all.


def ratio_panels(series) -> list[Panel]:
    """Returns accuracy against a ratio: a panel per sweep, bits and method."""
    panels = []
    for kind, (what, _) in RATIOS.items():
        blocks = found_in(series, kind, ratio_of(kind))
        methods = methods_in(blocks)
        for number, (block, names) in enumerate(blocks.items()):
            title = f"{what}: {block.label(methods)}"
            name = f"{kind.replace('_', '-')}-{number}"
            panels.append(Panel(title, _ratios(series, names, name, title)))
    return panels


def _ratios(series, names, name, title):
    with svg.figure(_WIDTH, 2.6) as drawn:
        axes = drawn.add_subplot()
        axes.axvline(1, color=svg.MUTED, linewidth=0.8, zorder=1)
        for index, one in enumerate(series):
            found = sorted(names.get(one.name, {}).items())
            axes.plot(
                [ratio for ratio, _ in found],
                [100 * mean(by_run) for _, by_run in found],
                color=svg.run_colour(index),
                marker=MARKERS[index % len(MARKERS)],
            )
        axes.set_xlabel("ratio")
        axes.set_ylabel("top-1 accuracy, %")
        return svg.to_svg(drawn, name, title)


def sensitivity_panels(series) -> list[Panel]:
    """Returns accuracy lost through each layer: a panel per point."""
    panels = []
    sweeps = layer_sweeps(series)
    methods = methods_in(sweep.block for sweep in sweeps)
    for number, (sweep, layers) in enumerate(sweeps.items()):
        title = sweep.label(methods)
        lost = drops(series, sweep, layers)
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
