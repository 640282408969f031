"""The paper's experiments by name."""

import dataclasses

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

    def measurements(self) -> tuple[tuple[str, str], ...]:
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
    if scale not in SCALES:
        raise ValueError(
            f"Expected a scale, one of {SCALES}. Received: {scale!r}."
        )
    if name not in _MAKERS:
        raise ValueError(
            f"Expected an experiment of the paper, one of {NAMES}. Received: "
            f"{name!r}."
        )
    title, make, nets = _MAKERS[name]
    if scale != "imagenet" or not nets:
        return Experiment(name, title, make(nets[0] if nets else None))
    panels = tuple(
        panel.of_net(net, one_of_several=len(nets) > 1)
        for net in nets
        for panel in make(net)
    )
    return Experiment(name, title, panels)


# Name: title, maker of the panels, the nets that the paper has.
_MAKERS = {
    "fig1": (
        "Figure 1: how sensitive distributions are to the step",
        figures_1_2.figure_1,
        (),
    ),
    "fig2": (
        "Figure 2: the smallest error of distributions",
        figures_1_2.figure_2,
        (),
    ),
    "fig3a": (
        "Figure 3a: weights at different kurtosis targets",
        figure_3.figure_3a,
        ("resnet18",),
    ),
    "fig3b": (
        "Figure 3b: PTQ accuracy at different kurtosis targets",
        figure_3.figure_3b,
        ("resnet18",),
    ),
    "fig3c": (
        "Figure 3c: sensitivity at different kurtosis targets",
        figure_3.figure_3c,
        ("resnet18",),
    ),
    "fig4ab": (
        "Figure 4a-b: PTQ with a step that is off",
        figure_4.figure_4ab,
        ("resnet50",),
    ),
    "fig4cd": (
        "Figure 4c-d: QAT with a step that is off",
        figure_4.figure_4cd,
        ("resnet18",),
    ),
    "fig5": (
        "Figure 5: LSQ at bits it was not trained for",
        figure_5.figure_5,
        ("resnet18",),
    ),
    "figA1": (
        "Figure A.1: DoReFa at bits it was not trained for",
        figure_5.figure_a1,
        ("resnet18",),
    ),
    "figA2": (
        "Figure A.2: DoReFa with a step that is off, three runs",
        figure_4.figure_a2,
        ("resnet18",),
    ),
    "table1": (
        "Table 1: accuracy after LAPQ",
        tables.table_1,
        ("resnet18", "resnet50", "mobilenet_v2"),
    ),
    "table2": (
        "Table 2: KURE and its rival",
        tables.table_2,
        ("resnet18",),
    ),
    "tableA5": (
        "Table A.5: power-of-two steps",
        tables.table_a5,
        ("resnet18", "resnet50"),
    ),
    "tableA6": (
        "Table A.6: scatter over runs",
        tables.table_a6,
        ("resnet18",),
    ),
}

NAMES = tuple(_MAKERS)
