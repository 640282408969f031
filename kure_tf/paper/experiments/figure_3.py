"""Figure 3: what the kurtosis target does."""

from kure_tf.paper.experiments import columns, published
from kure_tf.paper.experiments.claims import Lead, Order
from kure_tf.paper.experiments.panel import NONE, Panel
from kure_tf.paper.experiments.values import Value

_TARGETS = {"K_T 1.6": 1.6, "K_T 1.8": 1.8, "K_T 3": 3.0, "K_T 6": 6.0}
_SERIES = {
    "K_T 1.6": ("kurtosis_1.6",),
    "K_T 1.8": ("kure",),
    "K_T 3": ("kurtosis_3",),
    "K_T 6": ("kurtosis_6",),
}
_LARGEST_FIRST = tuple(reversed(_SERIES))


def figure_3a(net) -> tuple:
    """Returns title and panels of Figure 3a."""
    return (
        "Figure 3a: weights at different kurtosis targets",
        Panel(
            "Kurtosis of one layer's weights",
            sweep="weights",
            series=_SERIES,
            column="kurtosis",
            axis="given",
            published={
                name: {"kurtosis": Value(k)} for name, k in _TARGETS.items()
            },
            about=(
                "The paper shows histograms; its column here holds the targets."
            ),
            claims=(Order(_LARGEST_FIRST, "kurtosis", "value"),),
            unit="kurtosis",
        ),
    )


def figure_3b(net) -> tuple:
    """Returns title and panels of Figure 3b."""
    figure = published.figures()["fig3b_resnet18_ptq_bitwidth"]
    curves = {
        **{name: figure[f"k{k}"] for name, k in _TARGETS.items()},
        NONE: figure["pretrained"],
    }
    return (
        "Figure 3b: PTQ accuracy at different kurtosis targets",
        Panel(
            "Accuracy against weight bits",
            sweep="targets",
            series={**_SERIES, NONE: ("plain",)},
            column=columns.weight_bits(),
            axis="bits",
            published=published.curves(
                published.bits_columns(figure["bits_w"]), curves
            ),
            about=f"The paper: ResNet-18 on ImageNet, LAPQ. {figure['caveat']}",
            claims=(
                Order(tuple(curves), "W3"),
                Lead("K_T 1.8", NONE, "At W3", ("W3",)),
                Lead("K_T 1.8", "K_T 6", "At W3", ("W3",)),
                Lead("K_T 1.8", NONE, "At W2", ("W2",)),
            ),
        ),
    )


def figure_3c(net) -> tuple:
    """Returns title and panels of Figure 3c."""
    return (
        "Figure 3c: sensitivity at different kurtosis targets",
        Panel(
            "Sensitivity of one layer's weights to the step, 4 bits",
            sweep="weights",
            series=_SERIES,
            column="sensitivity",
            axis="ratio",
            about=(
                "|MSE(r step) - MSE(step)| / variance, step the best one. The "
                "paper draws it without numbers: the smaller K_T, the smaller."
            ),
            claims=tuple(
                Order(_LARGEST_FIRST, ratio, "sensitivity")
                for ratio in ("1.2", "1.5", "0.8")
            ),
            unit="sensitivity",
        ),
    )
