"""Figures 4 and A.2: a step that is off, after training and while training."""

from kure_tf.paper.experiments import columns, published
from kure_tf.paper.experiments.claims import Lead
from kure_tf.paper.experiments.panel import (
    KURE,
    NONE,
    PAIR,
    Panel,
    above_one,
    below_one,
)

DOREFA = {NONE: ("dorefa_plain",), KURE: ("dorefa_kure",)}
SEEDS = ("dorefa_kure", "dorefa_kure_seed1", "dorefa_kure_seed2")
_CLAIMS = (
    Lead(KURE, NONE, "Ratios above 1", above_one),
    Lead(KURE, NONE, "Ratios below 1", below_one),
)
# Figures 4c-d and A.2 were measured on a tenth of the validation split.
_TENTH = 4_000


def figure_4ab(net) -> tuple:
    """Returns title and panels of Figure 4a-b."""
    figure = published.figures()["fig4ab_resnet50_lapq_step"]
    ratios = published.ratio_columns(figure["ratio"])
    claims = (
        Lead(KURE, NONE, "At ratio 1", ("1",)),
        Lead(KURE, NONE, "Ratios above 1, to 1.5", above_one),
        Lead(KURE, NONE, "Ratios 0.7 to 0.95", below_one),
    )
    panels = (
        Panel(
            f"W{bits}, steps by LAPQ times a ratio",
            sweep="lapq",
            series=PAIR,
            column=columns.step_ratio(bits),
            axis="ratio",
            published=published.curves(
                ratios,
                {
                    NONE: figure[f"w{bits}"]["baseline"],
                    KURE: figure[f"w{bits}"]["kure"],
                },
            ),
            about="The paper: ResNet-50 on ImageNet, one ratio on all clips.",
            claims=claims,
        )
        for bits in (4, 3, 2)
    )
    return "Figure 4a-b: PTQ with a step that is off", *panels


def figure_4cd(net) -> tuple:
    """Returns title and panels of Figure 4c-d."""
    figure = published.figures()["fig4c_resnet18_dorefa_w4a4_step"]
    grid = figure["grids"]["g21_0.7_1.3"]
    curves = published.curves(
        published.ratio_columns(grid["ratio"], of_inverse=True),
        {NONE: grid["dorefa"], KURE: grid["dorefa_kure"]},
        _TENTH,
    )
    return (
        "Figure 4c-d: QAT with a step that is off",
        Panel(
            "Trained at 4/4 by DoReFa, the step of the weights times a ratio",
            sweep="trained_steps",
            series=DOREFA,
            column=columns.step_ratio(4, 4),
            axis="ratio",
            published=curves,
            about=(
                "The paper: ResNet-18 on a tenth of the ImageNet validation "
                "split; its ratio there multiplies 1 / step, turned over here, "
                "and its grid is anchored at -1, so that the zero moves. Here "
                "the zero stays."
            ),
            claims=_CLAIMS,
        ),
        Panel(
            "Its float weights on the paper code's grid, whose zero moves",
            sweep="trained_steps",
            series=DOREFA,
            column=columns.step_ratio(4, parity=True),
            axis="ratio",
            published=curves,
            about=(
                "What the reference code does with the weights, for "
                "comparison; no device does. Activations are in float here."
            ),
            claims=_CLAIMS,
        ),
    )


def figure_a2(net) -> tuple:
    """Returns title and panels of Figure A.2."""
    figure = published.figures()["figA2_resnet18_dorefa_step_3runs"]
    three = zip(*figure["dorefa_kure_runs"], strict=True)
    return (
        "Figure A.2: DoReFa with a step that is off, three runs",
        Panel(
            "Trained at 4/4 by DoReFa, KURE with three seeds",
            sweep="trained_steps",
            series={**DOREFA, KURE: SEEDS},
            column=columns.step_ratio(4, 4),
            axis="ratio",
            published=published.curves(
                published.ratio_columns(figure["ratio"], of_inverse=True),
                {NONE: figure["dorefa"], KURE: [sum(a) / 3 for a in three]},
                _TENTH,
            ),
            about=(
                "The paper: ResNet-18, read off the figure; the mean of its "
                "three runs. Its ratio multiplies 1 / step, turned over here, "
                "and the zero of its grid moves."
            ),
            claims=_CLAIMS,
        ),
    )
