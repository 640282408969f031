"""The paper's experiments by name."""

import dataclasses

from kure_tf.paper.experiments import (
    after_training,
    distributions,
    in_training,
    targets,
)

SCALES = ("digits", "cifar10_jpeg", "imagenet")


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One figure or table of the paper.

    Attributes:
        name: Such as "fig3b".
        title: What it shows.
        parts: Its `Part`s.
    """

    name: str
    title: str
    parts: tuple

    def measurements(self) -> tuple[tuple[str, str], ...]:
        """Returns the `(model, sweep)` pairs that it needs, each once.

        The model of theory is "".
        """
        return tuple(
            dict.fromkeys(
                (model, part.sweep)
                for part in self.parts
                for models in part.runs.values()
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
    if scale != "imagenet":
        return Experiment(name, title, make("", nets[0]))
    found = []
    for net in nets:
        for part in make(f"{net}_", net):
            found.append(
                dataclasses.replace(part, title=f"{part.title}, {net}")
                if len(nets) > 1
                else part
            )
    return Experiment(name, title, tuple(found))


# Name: title, maker of the parts, the nets that the paper has.
_MAKERS = {
    "fig1": (
        "Figure 1: how sensitive distributions are to the step",
        distributions.sensitivity_of_distributions,
        ("resnet18",),
    ),
    "fig2": (
        "Figure 2: the smallest error of distributions",
        distributions.smallest_error,
        ("resnet18",),
    ),
    "fig3a": (
        "Figure 3a: weights at different kurtosis targets",
        targets.kurtosis_of_targets,
        ("resnet18",),
    ),
    "fig3b": (
        "Figure 3b: PTQ accuracy at different kurtosis targets",
        targets.bits_of_targets,
        ("resnet18",),
    ),
    "fig3c": (
        "Figure 3c: sensitivity at different kurtosis targets",
        targets.sensitivity_of_targets,
        ("resnet18",),
    ),
    "fig4ab": (
        "Figure 4a-b: PTQ with a step that is off",
        after_training.step_of_lapq,
        ("resnet50",),
    ),
    "fig4cd": (
        "Figure 4c-d: QAT with a step that is off",
        in_training.step_of_dorefa,
        ("resnet18",),
    ),
    "fig5": (
        "Figure 5: LSQ at bits it was not trained for",
        in_training.bits_of_lsq,
        ("resnet18",),
    ),
    "figA1": (
        "Figure A.1: DoReFa at bits it was not trained for",
        in_training.bits_of_dorefa,
        ("resnet18",),
    ),
    "figA2": (
        "Figure A.2: DoReFa with a step that is off, three runs",
        in_training.step_of_dorefa_runs,
        ("resnet18",),
    ),
    "table1": (
        "Table 1: accuracy after LAPQ",
        after_training.ptq_table,
        ("resnet18", "resnet50", "mobilenet_v2"),
    ),
    "table2": (
        "Table 2: KURE and its rival",
        after_training.rival_table,
        ("resnet18",),
    ),
    "tableA5": (
        "Table A.5: power-of-two steps",
        after_training.power_of_two_table,
        ("resnet18", "resnet50"),
    ),
    "tableA6": (
        "Table A.6: scatter over runs",
        in_training.runs_table,
        ("resnet18",),
    ),
}

NAMES = tuple(_MAKERS)
