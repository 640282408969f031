"""Tables 1, 2 and A.5, Figure 4a-b: quantization after training."""

from kure_tf.paper.experiments import places, published
from kure_tf.paper.experiments.claims import Lead
from kure_tf.paper.experiments.part import (
    KURE,
    NONE,
    Part,
    above_one,
    below_one,
    named,
)

_L1 = "L1 of gradients"
_PAIR = {NONE: ("plain",), KURE: ("kure",)}


def step_of_lapq(prefix, net) -> tuple[Part, ...]:
    """Returns Figure 4a-b; models are named `prefix` + name."""
    figure = published.figures()["fig4ab_resnet50_lapq_step"]
    ratios = published.ratio_places(figure["ratio"])
    parts = []
    for bits in (4, 3, 2):
        curves = figure[f"w{bits}"]
        parts.append(
            Part(
                f"W{bits}, steps by LAPQ times a ratio",
                "lapq",
                named(_PAIR, prefix),
                places.step_ratio(bits),
                "ratio",
                {
                    NONE: published.accuracies(ratios, curves["baseline"]),
                    KURE: published.accuracies(ratios, curves["kure"]),
                },
                "The paper: ResNet-50 on ImageNet, one ratio on all clips.",
                (
                    Lead(KURE, NONE, "At ratio 1", ("1",)),
                    Lead(KURE, NONE, "Ratios above 1, to 1.5", above_one),
                    Lead(KURE, NONE, "Ratios 0.7 to 0.95", below_one),
                ),
            )
        )
    return tuple(parts)


def _lapq_table(prefix, title, place, table, net, claims, more=""):
    """Returns a table of both models under LAPQ."""
    return Part(
        title,
        "lapq",
        named(_PAIR, prefix),
        place,
        "table",
        {
            run: published.accuracies(table["columns"], table[net][run])
            for run in _PAIR
        },
        f"The paper: {net} on ImageNet{more}.",
        claims,
    )


def ptq_table(prefix, net) -> tuple[Part, ...]:
    """Returns Table 1; models are named `prefix` + name."""
    claims = (
        Lead(KURE, NONE, "In float", ("FP",)),
        Lead(KURE, NONE, "At W4 and W3", ("4/FP", "3/FP")),
        Lead(KURE, NONE, "At W2", ("2/FP",)),
        Lead(KURE, NONE, "At 4/4 and 3/3", ("4/4", "3/3")),
    )
    table, place = published.tables()["table1"], places.any_bits
    return (_lapq_table(prefix, "Accuracy by LAPQ", place, table, net, claims),)


def rival_table(prefix, net) -> tuple[Part, ...]:
    """Returns Table 2; models are named `prefix` + name."""
    table = published.tables()["table2"]
    keys = {_L1: "L1 of gradients, lambda 0.05", KURE: "KURE"}
    runs = named({_L1: ("gradient_l1",), KURE: ("kure",)}, prefix)
    return (
        Part(
            "KURE and the L1 norm of the gradients",
            "equal_bits",
            runs,
            places.any_bits,
            "table",
            {
                run: published.accuracies(table["columns"], table[key])
                for run, key in keys.items()
            },
            "The paper: ResNet-18 on ImageNet, lambda 0.05. Here: lambda "
            "0.002, since more of it undoes the training (see the flagfile); "
            "steps of the smallest MSE.",
            (
                Lead(KURE, _L1, "In float", ("FP",)),
                Lead(KURE, _L1, "At 8/8 and 6/6", ("8/8", "6/6")),
                Lead(KURE, _L1, "At 4/4", ("4/4",)),
            ),
        ),
    )


def power_of_two_table(prefix, net) -> tuple[Part, ...]:
    """Returns Table A.5; models are named `prefix` + name."""
    return (
        _lapq_table(
            prefix,
            "Steps by LAPQ, and the nearest powers of two",
            places.power_of_two,
            published.tables()["tableA5"],
            net,
            (
                Lead(KURE, NONE, "W4, powers of two", ("W4 pow2",)),
                Lead(KURE, NONE, "W3, powers of two", ("W3 pow2",)),
            ),
            "; it does not say how it rounds",
        ),
    )
