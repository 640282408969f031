"""Figures 1 and 2: distributions and the quantizer, without a network."""

from kure_tf.paper.experiments.claims import Lead
from kure_tf.paper.experiments.part import Part


def sensitivity_of_distributions(prefix, net) -> tuple[Part, ...]:
    """Returns Figure 1; models are named `prefix` + name."""
    about = (
        "The paper: Eq. 8 and Eq. 11, as printed. Here: the quantizer of its "
        "Eq. 1 integrated. tools/theory.py draws the figure itself."
    )
    runs = {"uniform": ("",), "normal": ("",)}
    return (
        Part(
            "Sensitivity at the best step, in squared deviations",
            "theory",
            runs,
            "sensitivity",
            "table",
            {},
            about,
            (
                Lead(
                    "normal",
                    "uniform",
                    "At 4 bits, those of the figure",
                    ("M=4",),
                    unit="",
                ),
            ),
            unit="sensitivity",
        ),
        Part(
            "Increase of the MSE for a step 1.5 times the best",
            "theory",
            runs,
            "cost",
            "table",
            {},
            "The paper states it for any deviation (Theorem 4).",
            (
                Lead(
                    "normal",
                    "uniform",
                    "At 4 bits, those of the figure",
                    ("M=4",),
                    unit="",
                    expected=1.0,
                ),
            ),
            unit="MSE / variance",
        ),
    )


def smallest_error(prefix, net) -> tuple[Part, ...]:
    """Returns Figure 2; models are named `prefix` + name."""
    return (
        Part(
            "Smallest MSE at unit variance",
            "theory",
            {"uniform": ("",), "normal": ("",)},
            "mean_squared_error",
            "table",
            {},
            "The paper: Eq. 5 and Eq. 9 at their best steps. Here: the "
            "quantizer of its Eq. 1 integrated.",
            (Lead("normal", "uniform", "In the mean over bits", unit=""),),
            unit="MSE / variance",
        ),
    )
