"""Figure 3: what the kurtosis target does."""

from kure_tf.paper.experiments import places, published
from kure_tf.paper.experiments.claims import Lead, Order
from kure_tf.paper.experiments.part import NONE, Part, named
from kure_tf.paper.experiments.values import Value

_TARGETS = {
    "K_T 1.6": "kurtosis_1.6",
    "K_T 1.8": "kure",
    "K_T 3": "kurtosis_3",
    "K_T 6": "kurtosis_6",
}


def kurtosis_of_targets(prefix, net) -> tuple[Part, ...]:
    """Returns Figure 3a; models are named `prefix` + name."""
    runs = named({run: (model,) for run, model in _TARGETS.items()}, prefix)
    targets = {"K_T 1.6": 1.6, "K_T 1.8": 1.8, "K_T 3": 3.0, "K_T 6": 6.0}
    return (
        Part(
            "Kurtosis of one layer's weights",
            "weights",
            runs,
            "kurtosis",
            "table",
            {run: {"kurtosis": Value(k)} for run, k in targets.items()},
            "The paper shows histograms; its column here holds the targets.",
            (
                Order(
                    ("K_T 6", "K_T 3", "K_T 1.8", "K_T 1.6"),
                    "kurtosis",
                    "value",
                ),
            ),
            unit="kurtosis",
        ),
    )


def bits_of_targets(prefix, net) -> tuple[Part, ...]:
    """Returns Figure 3b; models are named `prefix` + name."""
    figure = published.figures()["fig3b_resnet18_ptq_bitwidth"]
    bits = published.bits_places(figure["bits_w"])
    keys = {
        "K_T 1.6": "k1.6",
        "K_T 1.8": "k1.8",
        "K_T 3": "k3.0",
        "K_T 6": "k6.0",
        NONE: "pretrained",
    }
    runs = {run: (model,) for run, model in _TARGETS.items()}
    return (
        Part(
            "Accuracy against weight bits",
            "targets",
            named({**runs, NONE: ("plain",)}, prefix),
            places.weight_bits,
            "bits",
            {
                run: published.accuracies(bits, figure[key])
                for run, key in keys.items()
            },
            f"The paper: ResNet-18 on ImageNet, LAPQ. {figure['caveat']}",
            (
                Order(tuple(keys), "W3"),
                Lead("K_T 1.8", NONE, "At W3", ("W3",)),
                Lead("K_T 1.8", "K_T 6", "At W3", ("W3",)),
                Lead("K_T 1.8", NONE, "At W2", ("W2",)),
            ),
        ),
    )


def sensitivity_of_targets(prefix, net) -> tuple[Part, ...]:
    """Returns Figure 3c; models are named `prefix` + name."""
    runs = named({run: (model,) for run, model in _TARGETS.items()}, prefix)
    order = ("K_T 6", "K_T 3", "K_T 1.8", "K_T 1.6")
    return (
        Part(
            "Sensitivity of one layer's weights to the step, 4 bits",
            "weights",
            runs,
            "sensitivity",
            "ratio",
            {},
            "|MSE(r step) - MSE(step)| / variance, step the best one. The "
            "paper draws it without numbers: the smaller K_T, the smaller.",
            (
                Order(order, "1.2", "sensitivity"),
                Order(order, "1.5", "sensitivity"),
                Order(order, "0.8", "sensitivity"),
            ),
            unit="sensitivity",
        ),
    )
