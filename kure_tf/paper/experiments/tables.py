"""Tables 1, 2, A.5 and A.6."""

from kure_tf.paper.experiments import columns, published
from kure_tf.paper.experiments.claims import Lead, Scatter
from kure_tf.paper.experiments.figure_4 import SEEDS
from kure_tf.paper.experiments.panel import KURE, NONE, PAIR, Panel
from kure_tf.paper.experiments.values import Value

_L1 = "L1 of gradients"


def table_1(net) -> tuple:
    """Returns title and panels of Table 1."""
    table = published.tables()["table1"]
    return (
        "Table 1: accuracy after LAPQ",
        Panel(
            "Accuracy by LAPQ",
            sweep="lapq",
            series=PAIR,
            column=columns.any_bits,
            published=published.curves(table["columns"], table[net]),
            about=f"The paper: {net} on ImageNet.",
            claims=(
                Lead(KURE, NONE, "In float", ("FP",)),
                Lead(KURE, NONE, "At W4 and W3", ("4/FP", "3/FP")),
                Lead(KURE, NONE, "At W2", ("2/FP",)),
                Lead(KURE, NONE, "At 4/4 and 3/3", ("4/4", "3/3")),
            ),
        ),
    )


def table_2(net) -> tuple:
    """Returns title and panels of Table 2."""
    table = published.tables()["table2"]
    rows = {_L1: table["L1 of gradients, lambda 0.05"], KURE: table[KURE]}
    return (
        "Table 2: KURE and its rival",
        Panel(
            "KURE and the L1 norm of the gradients",
            sweep="equal_bits",
            series={_L1: ("gradient_l1",), KURE: ("kure",)},
            column=columns.any_bits,
            published=published.curves(table["columns"], rows),
            about=(
                "The paper: ResNet-18 on ImageNet, lambda 0.05. Here: lambda "
                "0.002, since more of it undoes the training (see the "
                "flagfile); steps of the smallest MSE."
            ),
            claims=(
                Lead(KURE, _L1, "In float", ("FP",)),
                Lead(KURE, _L1, "At 8/8 and 6/6", ("8/8", "6/6")),
                Lead(KURE, _L1, "At 4/4", ("4/4",)),
            ),
        ),
    )


def table_a5(net) -> tuple:
    """Returns title and panels of Table A.5."""
    table = published.tables()["tableA5"]
    return (
        "Table A.5: power-of-two steps",
        Panel(
            "Steps by LAPQ, and the nearest powers of two",
            sweep="lapq",
            series=PAIR,
            column=columns.power_of_two,
            published=published.curves(table["columns"], table[net]),
            about=(
                f"The paper: {net} on ImageNet; it does not say how it rounds."
            ),
            claims=(
                Lead(KURE, NONE, "W4, powers of two", ("W4 pow2",)),
                Lead(KURE, NONE, "W3, powers of two", ("W3 pow2",)),
            ),
        ),
    )


def table_a6(net) -> tuple:
    """Returns title and panels of Table A.6."""
    table = published.tables()["tableA6"][KURE]
    value = Value(table["4/4"], 0.0, table["standard_deviation"])
    return (
        "Table A.6: scatter over runs",
        Panel(
            "DoReFa and KURE, three runs at 4/4",
            sweep="trained_steps",
            series={KURE: SEEDS},
            column=columns.any_bits,
            published={KURE: {"4/4": value}},
            about="The paper: ResNet-18 on ImageNet.",
            claims=(Scatter(KURE, "4/4"),),
        ),
    )
