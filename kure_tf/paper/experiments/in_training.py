"""Figures 4c-d, 5, A.1 and A.2, Table A.6: quantization while training."""

from kure_tf.paper.experiments import places, published
from kure_tf.paper.experiments.claims import Lead, Scatter
from kure_tf.paper.experiments.part import (
    KURE,
    NONE,
    Part,
    above_one,
    below_one,
)
from kure_tf.paper.experiments.values import Value


def step_of_dorefa(prefix, net) -> tuple[Part, ...]:
    """Returns Figure 4c-d; models are named `prefix` + name."""
    figure = published.figures()["fig4c_resnet18_dorefa_w4a4_step"]
    grid = figure["grids"]["g21_0.7_1.3"]
    theirs = published.ratio_places(grid["ratio"], of_inverse=True)
    curves = {
        NONE: published.accuracies(theirs, grid["dorefa"], 4_000),
        KURE: published.accuracies(theirs, grid["dorefa_kure"], 4_000),
    }
    runs = {
        NONE: (f"{prefix}dorefa_plain",),
        KURE: (f"{prefix}dorefa_kure",),
    }
    claims = (
        Lead(KURE, NONE, "Ratios above 1", above_one),
        Lead(KURE, NONE, "Ratios below 1", below_one),
    )
    return (
        Part(
            "Trained at 4/4 by DoReFa, the step of the weights times a ratio",
            "trained_steps",
            runs,
            places.step_ratio(4, 4),
            "ratio",
            curves,
            "The paper: ResNet-18 on a tenth of the ImageNet validation "
            "split; its ratio there multiplies 1 / step, turned over here, "
            "and its grid is anchored at -1, so that the zero moves. Here "
            "the zero stays.",
            claims,
        ),
        Part(
            "Its float weights on the paper code's grid, whose zero moves",
            "trained_steps",
            runs,
            places.step_ratio(4, None, "reference_parity"),
            "ratio",
            curves,
            "What the reference code does with the weights, for comparison; no "
            "device does. Activations are in float here.",
            claims,
        ),
    )


def bits_of_lsq(prefix, net) -> tuple[Part, ...]:
    """Returns Figure 5; models are named `prefix` + name."""
    figure = published.figures()["fig5_A1_bitwidth_lsq"]
    bits = published.bits_places(figure["bits_w"])
    return (
        Part(
            "Trained at 4/4 by LSQ, weights read at other bits",
            "trained_bits",
            {NONE: (f"{prefix}lsq_plain",), KURE: (f"{prefix}lsq_kure",)},
            places.weight_bits_at(4),
            "bits",
            {
                NONE: published.accuracies(bits, figure["resnet18_lsq"]),
                KURE: published.accuracies(bits, figure["resnet18_lsq_kure"]),
            },
            f"The paper: ResNet-18 on ImageNet. {figure['caveat']}.",
            (
                Lead(KURE, NONE, "At W3", ("W3",)),
                Lead(KURE, NONE, "Bits above 4", ("W5", "W6", "W8")),
                Lead(KURE, NONE, "Float weights", ("FP",)),
            ),
        ),
    )


def bits_of_dorefa(prefix, net) -> tuple[Part, ...]:
    """Returns Figure A.1; models are named `prefix` + name."""
    figure = published.figures()["figA1_bitwidth_dorefa_other"]
    bits = published.bits_places(figure["bits_w"])
    return (
        Part(
            "Trained at 4/4 by DoReFa, weights read at other bits",
            "trained_bits",
            {
                NONE: (f"{prefix}dorefa_plain",),
                KURE: (f"{prefix}dorefa_kure",),
            },
            places.weight_bits_at(4),
            "bits",
            {
                NONE: published.accuracies(
                    bits, figure["resnet18_w4a4_dorefa"]
                ),
                KURE: published.accuracies(
                    bits, figure["resnet18_w4a4_dorefa_kure"]
                ),
            },
            "The paper: ResNet-18 on ImageNet, on its grid without a zero.",
            (
                Lead(KURE, NONE, "At W3", ("W3",)),
                Lead(KURE, NONE, "Bits above 4", ("W5", "W6", "W8")),
                Lead(KURE, NONE, "Float weights", ("FP",)),
            ),
        ),
    )


def _seeds(prefix):
    names = ("dorefa_kure", "dorefa_kure_seed1", "dorefa_kure_seed2")
    return tuple(f"{prefix}{name}" for name in names)


def step_of_dorefa_runs(prefix, net) -> tuple[Part, ...]:
    """Returns Figure A.2; models are named `prefix` + name."""
    figure = published.figures()["figA2_resnet18_dorefa_step_3runs"]
    theirs = published.ratio_places(figure["ratio"], of_inverse=True)
    means = [
        sum(three) / 3
        for three in zip(*figure["dorefa_kure_runs"], strict=True)
    ]
    return (
        Part(
            "Trained at 4/4 by DoReFa, KURE with three seeds",
            "trained_steps",
            {NONE: (f"{prefix}dorefa_plain",), KURE: _seeds(prefix)},
            places.step_ratio(4, 4),
            "ratio",
            {
                NONE: published.accuracies(theirs, figure["dorefa"], 4_000),
                KURE: published.accuracies(theirs, means, 4_000),
            },
            "The paper: ResNet-18, read off the figure; the mean of its three "
            "runs. Its ratio multiplies 1 / step, turned over here, and the "
            "zero of its grid moves.",
            (
                Lead(KURE, NONE, "Ratios above 1", above_one),
                Lead(KURE, NONE, "Ratios below 1", below_one),
            ),
        ),
    )


def runs_table(prefix, net) -> tuple[Part, ...]:
    """Returns Table A.6; models are named `prefix` + name."""
    table = published.tables()["tableA6"]["KURE"]
    value = Value(table["4/4"], 0.0, table["standard_deviation"])
    return (
        Part(
            "DoReFa and KURE, three runs at 4/4",
            "trained_steps",
            {KURE: _seeds(prefix)},
            places.any_bits,
            "table",
            {KURE: {"4/4": value}},
            "The paper: ResNet-18 on ImageNet.",
            (Scatter(KURE, "4/4"),),
        ),
    )
