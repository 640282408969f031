"""Figures 5 and A.1: trained at 4/4, read at bits it was not trained for."""

from kure_tf.paper.experiments import columns, published
from kure_tf.paper.experiments.claims import Lead
from kure_tf.paper.experiments.panel import KURE, NONE, Panel


def figure_5(net) -> tuple:
    """Returns title and panels of Figure 5: LSQ."""
    figure = published.figures()["fig5_A1_bitwidth_lsq"]
    about = f"The paper: ResNet-18 on ImageNet. {figure['caveat']}."
    return "Figure 5: LSQ at bits it was not trained for", _panel(
        "LSQ", figure, "resnet18_lsq", about
    )


def figure_a1(net) -> tuple:
    """Returns title and panels of Figure A.1: DoReFa."""
    figure = published.figures()["figA1_bitwidth_dorefa_other"]
    about = "The paper: ResNet-18 on ImageNet, on its grid without a zero."
    return "Figure A.1: DoReFa at bits it was not trained for", _panel(
        "DoReFa", figure, "resnet18_w4a4_dorefa", about
    )


def _panel(method, figure, key, about):
    model = method.lower()
    return Panel(
        f"Trained at 4/4 by {method}, weights read at other bits",
        sweep="trained_bits",
        series={NONE: (f"{model}_plain",), KURE: (f"{model}_kure",)},
        column=columns.weight_bits(4),
        axis="bits",
        published=published.curves(
            published.bits_columns(figure["bits_w"]),
            {NONE: figure[key], KURE: figure[f"{key}_kure"]},
        ),
        about=about,
        claims=(
            Lead(KURE, NONE, "At W3", ("W3",)),
            Lead(KURE, NONE, "Bits above 4", ("W5", "W6", "W8")),
            Lead(KURE, NONE, "Float weights", ("FP",)),
        ),
    )
