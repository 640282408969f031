"""The whole chain without and with KURE: train, sweep, export, one report."""

import dataclasses
import pathlib

from kure_tf.measurements import Report
from kure_tf.pages import save_report
from kure_tf.runs.export import export
from kure_tf.runs.sweep import measure
from kure_tf.runs.train import recipes_of, train


def compare(
    make_model,
    dataset,
    recipe,
    folder,
    plans,
    *,
    kure,
    seeds=None,
    modes=("converter_int8",),
    title=None,
    notes=(),
    train_options=None,
    measure_options=None,
    export_options=None,
):
    """Trains a model without and with KURE and reports both, side by side.

    Both are trained by one recipe from the same weights. Killed and called
    again, it goes on where it was.

    Args:
        make_model, dataset, recipe: As for `train`.
        folder: Gets no_regularization_seed<n> and kure_seed<n> for each seed,
            and the report with its pages.
        plans: `SweepPlan`s, as for `measure`.
        kure: A `Kure` with a coefficient above 0.
        seeds: Everything is repeated with each; None for that of the recipe.
        modes: LiteRT files to write, as for `export`.
        title: Title of the report; None for a sentence of model and data set.
        notes: What the report must say.
        train_options: Further arguments of `train`, such as `{"qat": ...}`.
        measure_options: Further arguments of `measure`.
        export_options: Further arguments of `export`.

    Returns:
        `(the report, the path of its page)`.

    Raises:
        TypeError, ValueError: As `train`, `measure` and `export`; or if
            `kure` has no coefficient.
    """
    if not kure.coefficient:
        raise ValueError(
            "Training without and with KURE needs --kurtosis_coefficient above "
            f"0, such as 1. Received: {kure.coefficient}."
        )
    without = dataclasses.replace(kure, coefficient=0.0)
    runs = []
    for seeded in recipes_of(recipe, seeds or (recipe.seed,)):
        for name, its_kure in (("no regularization", without), ("KURE", kure)):
            part = name.replace(" ", "_").lower()
            part = pathlib.Path(folder) / f"{part}_seed{seeded.seed}"
            model, record = train(
                make_model,
                dataset,
                seeded,
                part,
                kure=its_kure,
                **(train_options or {}),
            )
            run = measure(
                model,
                dataset,
                plans,
                part,
                name=name,
                record=record,
                **(measure_options or {}),
            )
            rows = export(
                model,
                dataset,
                part,
                modes,
                name=name,
                **(export_options or {}),
            )
            runs.append(dataclasses.replace(run, rows=(*run.rows, *rows)))
    report = Report(
        runs=tuple(runs),
        title=title or f"{model.name} on {dataset.name}, with and without KURE",
        notes=(*dataset.notes, *notes),
    )
    return report, save_report(report, folder)
