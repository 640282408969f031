"""Figures 1 and 2: distributions and the quantizer, without a network."""

from kure_tf.paper.experiments.claims import Lead
from kure_tf.paper.experiments.panel import Panel

_SERIES = {"uniform": ("",), "normal": ("",)}


def figure_1() -> tuple:
    """Returns title and panels of Figure 1."""
    lead = ("normal", "uniform", "At 4 bits, those of the figure", ("M=4",))
    return (
        "Figure 1: how sensitive distributions are to the step",
        Panel(
            "Sensitivity at the best step, in squared deviations",
            sweep="theory",
            series=_SERIES,
            axis="given",
            column="sensitivity",
            about=(
                "The paper: Eq. 8 and Eq. 11, as printed. Here: the quantizer "
                "of its Eq. 1 integrated. tools/theory.py draws the figure "
                "itself."
            ),
            claims=(Lead(*lead, unit=""),),
            unit="sensitivity",
        ),
        Panel(
            "Increase of the MSE for a step 1.5 times the best",
            sweep="theory",
            series=_SERIES,
            axis="given",
            column="cost",
            about="The paper states it for any deviation (Theorem 4).",
            claims=(Lead(*lead, unit="", expected=1.0),),
            unit="MSE / variance",
        ),
    )


def figure_2() -> tuple:
    """Returns title and panels of Figure 2."""
    return (
        "Figure 2: the smallest error of distributions",
        Panel(
            "Smallest MSE at unit variance",
            sweep="theory",
            series=_SERIES,
            axis="given",
            column="mean_squared_error",
            about=(
                "The paper: Eq. 5 and Eq. 9 at their best steps. Here: the "
                "quantizer of its Eq. 1 integrated."
            ),
            claims=(
                Lead("normal", "uniform", "In the mean over bits", unit=""),
            ),
            unit="MSE / variance",
        ),
    )
