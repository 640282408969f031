"""Sweeping one model under several plans into one report, in a folder."""

import dataclasses
import inspect
import json
import pathlib
import re
import zlib

from kure_tf.fake_quantized import placement as placements
from kure_tf.fake_quantized import quantizers_of
from kure_tf.measurements import Report
from kure_tf.pages import save_report
from kure_tf.regularizers import choose_kernels
from kure_tf.sweeps import (
    kurtosis_facts,
    measure_robustness,
    weight_histograms,
)


def sweep(model, dataset, plans, folder, **options):
    """Sweeps a model under each plan and writes the report with its pages.

    Killed and called again, it goes on after the last finished point.

    Args:
        model, dataset, plans, folder, **options: As for `measure`.

    Returns:
        `(the report, the path of its page)`.
    """
    run = measure(model, dataset, plans, folder, **options)
    report = Report(
        runs=(run,), title=f"Robustness of {run.name}", notes=dataset.notes
    )
    return report, save_report(report, folder)


def measure(
    model,
    dataset,
    plans,
    folder,
    *,
    name="model",
    metric=None,
    record=None,
    provenance=None,
    also=(),
    shard=None,
):
    """Sweeps a model under each plan; returns one `Run` of all rows.

    Args:
        model: The float model, or one from quantization-aware training, which
            has its placement already.
        dataset: A `Dataset`.
        plans: `SweepPlan`s of different placements. Where one names no
            augmentations for batch norm (None), they are those of `record`.
        folder: Keeps <placement>/report.json after each row, and what a search
            that takes minutes has seen.
        name: What the report calls the model.
        metric: What is measured: see `measure_robustness`.
        record: What `training_record` returned: where kurtosis came from, and
            how training went. Without it, kurtosis is measured on the model.
        provenance: What the report says beyond what is known here.
        also: Functions `(model, dataset, name) -> Report` of further rows.
        shard: As for `measure_robustness`: the part of each plan that is
            measured here.

    Raises:
        TypeError, ValueError: As `measure_robustness`; or if a model that has
            quantizers is to be swept under several plans.
    """
    if quantizers_of(model) and len(plans) > 1:
        raise ValueError(
            "Expected one placement for a model that has quantizers: it keeps "
            f"its own. Received: {[plan.placement for plan in plans]}."
        )
    if shard is not None and also:
        raise ValueError(
            "Expected a shard of the plans' own points: further rows (tools: "
            "--parity_points) are not dealt. Measure those by themselves, "
            "without a shard."
        )
    trained = record["run"]["recipe"] if record else {}
    provenance = {"seed": trained.get("seed"), **(provenance or {})}
    reports = []
    for plan in plans:
        part = pathlib.Path(folder) / placements.get(plan.placement).name
        reports.append(
            measure_robustness(
                model,
                dataset,
                _completed(plan, trained, part),
                name=name,
                metric=metric,
                folder=part,
                provenance=provenance,
                shard=shard,
            )
        )
    reports += [more(model, dataset, name) for more in also]
    runs = [run for report in reports for run in report.runs]
    return dataclasses.replace(
        runs[0],
        rows=tuple(row for run in runs for row in run.rows),
        provenance={**runs[0].provenance, **_of_all(runs)},
        **_weights(model, record),
    )


def _of_all(runs):
    """Returns what the provenances of several plans say together."""
    known = [run.provenance for run in runs]
    facts = {"placement": list(dict.fromkeys(x["placement"] for x in known))}
    if "planned_rows" in known[0]:
        facts["planned_rows"] = sum(x["planned_rows"] for x in known)
    return facts


def _completed(plan, trained, folder):
    augment = plan.batch_norm_augment
    if augment is None:
        augment = tuple(trained.get("augment", ()))
    return dataclasses.replace(
        plan,
        batch_norm_augment=augment,
        methods={
            name: with_journal(method, folder, name)
            for name, method in plan.ptq_methods.items()
        },
    )


def with_journal(method, folder, name):
    """Returns a PTQ method that keeps in a folder what its search has seen.

    Methods without a journal, and None, are returned as they are.

    Args:
        method: A function `(calibration, point) -> StepSizes`, or None.
        folder: Gets a file for each point and draw of calibration images.
        name: What the files' names begin with.
    """
    if not callable(method):
        return method
    if "journal" not in inspect.signature(method).parameters:
        return method

    def search(calibration, point):
        draw = json.dumps(calibration.provenance, sort_keys=True).encode()
        file = f"{name}_{point}_{zlib.crc32(draw):08x}.json"
        file = re.sub(r"[^\w.-]+", "_", file)
        return method(calibration, point, journal=folder / file)

    return search


def _weights(model, record):
    """Returns what a `Run` says of the weights and their training."""
    if record is None:
        chosen = list(choose_kernels(model, "all_but_first")[0])
        record = {
            "chosen_layers": chosen,
            "kurtosis": kurtosis_facts(model),
        }
    shown = [
        path
        for path in record["kurtosis"]
        if path.rpartition("/")[0] in record["chosen_layers"]
    ]
    quarter = len(shown) // 4
    return {
        "kurtosis": record["kurtosis"],
        "histograms": weight_histograms(
            model, [shown[quarter], shown[-1 - quarter]]
        )
        if shown
        else {},
        "history": tuple(record.get("history", ())),
    }
