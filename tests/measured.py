"""Rows at operating points that are given as text; runs and a report."""

import numpy as np

from kure_tf.measurements import Report, Row, Run
from kure_tf.settings.operating_point import OperatingPoint


def row(point, accuracy, **more):
    """Returns a `Row` of 10,000 examples, by the method minmax but in float."""
    point = OperatingPoint.parse(point)
    values = {
        "run": "KURE",
        "ptq": None if point == OperatingPoint() else "minmax",
        "examples": 10_000,
        **more,
    }
    if isinstance(values.get("others"), str):
        values["others"] = OperatingPoint.parse(values["others"])
    return Row(point=point, value=accuracy, **values)


def seeds_of_one_run(*groups):
    """Returns runs that repeat one training, each with the rows of a group."""
    return [
        Run("KURE", rows, provenance={"seed": seed})
        for seed, rows in enumerate(groups)
    ]


def run_of(name, accuracies, *, seed=0, rows=(), examples=10_000, **more):
    """Returns a run with the rows of `{point: accuracy}`, then further rows.

    `more` is what `Run` takes; "seed" goes into its provenance.
    """
    found = [
        row(point, accuracy, run=name, examples=examples)
        for point, accuracy in accuracies.items()
    ]
    provenance = {"seed": seed, **more.pop("provenance", {})}
    return Run(name, [*found, *rows], provenance=provenance, **more)


def full_report() -> Report:
    """Returns a report of two runs with something in each of its members."""
    counts, edges = np.histogram(np.linspace(-1, 1, 100), 10)
    exported = {
        "mode": "int8",
        "file_size": 123_456,
        "agreement": 0.991,
        "accuracy_drop": 0.004,
    }
    run = run_of(
        "KURE",
        {"FP/FP": 0.9, "4/FP": 0.8, "4/FP x0.9": 0.7, "4/FP pow2-up": 0.85},
        rows=[
            row("4/FP", 0.83, reestimated_batch_norm=True),
            row("8/8", 0.89, sweep="tflite", details=exported),
        ],
        kurtosis={
            "conv1": {"before": 4.0, "after": 4.1, "regularized": False},
            "conv2": {"before": 5.0, "after": 1.9, "regularized": True},
        },
        histograms={"conv2": {"edges": edges, "counts": counts}},
        provenance={"model": "small_cnn", "flags": {"note": "<b>"}},
        history=[{"epoch": 1, "loss": 0.5}],
    )
    plain = run_of(
        "plain",
        {"FP/FP": 0.91, "4/FP": 0.6},
        provenance={"model": "small_cnn"},
    )
    return Report([plain, run], "Title <b>", ["A note & more."])
