"""The paper's experiments by name."""

import dataclasses

from kure_tf.ops.checks import check_choice
from kure_tf.paper.experiments import (
    figure_3,
    figure_4,
    figure_5,
    figures_1_2,
    tables,
)
from kure_tf.paper.experiments.panel import Panel

SCALES = ("digits", "cifar10_jpeg", "imagenet")


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One figure or table of the paper.

    Attributes:
        name: Such as "fig3b".
        title: What it shows.
        panels: What it consists of.
    """

    name: str
    title: str
    panels: tuple[Panel, ...]

    def sweeps(self) -> tuple[tuple[str, str], ...]:
        """Returns the `(model, sweep)` pairs that it needs, each once.

        The model of theory is "".
        """
        return tuple(
            dict.fromkeys(
                (model, panel.sweep)
                for panel in self.panels
                for models in panel.series.values()
                for model in models
            )
        )


def get(name, scale) -> Experiment:
    """Returns the experiment of that name.

    Args:
        name: One of `NAMES`.
        scale: One of `SCALES`. At "imagenet" it takes the paper's own nets.

    Raises:
        ValueError: If there is no such experiment or scale.
    """
    check_choice("a scale", scale, SCALES)
    check_choice("an experiment of the paper", name, NAMES)
    make, nets = _MAKERS[name], _NETS.get(name, ("resnet18",))
    if scale != "imagenet" or not nets:
        title, *panels = make(*nets[:1])
    else:
        found = {net: make(net) for net in nets}
        title = found[nets[0]][0]
        panels = [
            panel.of_net(net, one_of_several=len(nets) > 1)
            for net, (_, *of_net) in found.items()
            for panel in of_net
        ]
    return Experiment(name, title, tuple(panels))


# Functions of a net that return title and panels.
_MAKERS = {
    "fig1": figures_1_2.figure_1,
    "fig2": figures_1_2.figure_2,
    "fig3a": figure_3.figure_3a,
    "fig3b": figure_3.figure_3b,
    "fig3c": figure_3.figure_3c,
    "fig4ab": figure_4.figure_4ab,
    "fig4cd": figure_4.figure_4cd,
    "fig5": figure_5.figure_5,
    "figA1": figure_5.figure_a1,
    "figA2": figure_4.figure_a2,
    "table1": tables.table_1,
    "table2": tables.table_2,
    "tableA5": tables.table_a5,
    "tableA6": tables.table_a6,
}
# The nets that the paper has; of the others resnet18.
_NETS = {
    "fig1": (),
    "fig2": (),
    "fig4ab": ("resnet50",),
    "table1": ("resnet18", "resnet50", "mobilenet_v2"),
    "tableA5": ("resnet18", "resnet50"),
}

NAMES = tuple(_MAKERS)
