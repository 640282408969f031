"""The one loop that moves a model through operating points."""

import numbers
import time

from kure_tf.evaluation import Evaluator
from kure_tf.fake_quantized import apply, keeping, quantized_share
from kure_tf.fake_quantized.tensors import some_quantizers_of
from kure_tf.measurements import Report, Row, Run
from kure_tf.ops.checks import check_kind
from kure_tf.progress import ProgressBar
from kure_tf.sweeps.calibrated import calibrated_settings, check_label
from kure_tf.sweeps.result import result_fields
from kure_tf.sweeps.stops import stops_at
from kure_tf.sweeps.untrained import warn_if_untrained


def run_sweep(
    model,
    points,
    *,
    evaluate,
    setting_for=None,
    calibration=None,
    name="model",
    ptq=None,
    placement=None,
    reestimated_batch_norm=False,
    calibration_seed=None,
    sweep=None,
    metric=None,
    higher_is_better=None,
    examples=None,
    split="test",
    provenance=None,
    finished=(),
    on_row=None,
    progress=True,
):
    """Evaluates a fake-quantized model at each operating point.

    Moving to a point writes variables only, so that `evaluate` compiles once
    for the whole sweep. The model is left as it was.

    Args:
        model: What `fake_quantize_model` or `quantize_aware` returned.
        points: `OperatingPoint`s, their texts or patterns of them such as
            "{8..2}/FP" (see `settings.points`), or `Setting`s that say where
            single layers stand. What stands there twice is measured once.
        evaluate: A `Split` of a data set, or a function `evaluate(model) ->
            {metric: value}`, such as an `Evaluator`, or `lambda m:
            m.evaluate(batches, return_dict=True)`.
        setting_for: `setting_for(point) -> Setting`, such as
            `ptq.settings_for(calibration, ptq.lp_norm)`. It is given what
            `points` holds, an `OperatingPoint` or a `Setting`, and the model
            as it came. None keeps the clipping ranges that the model has.
        calibration: In place of `setting_for`: batches for `ptq.calibrate`, or
            what it returned, on which the method `ptq` chooses step sizes.
        name: What the report calls the model.
        ptq: With `calibration`, the PTQ method, such as "lapq" (see
            `method_named`). Else what the rows say of the PTQ method. Those in
            float say None.
        placement: Its name, for the rows.
        reestimated_batch_norm: Whether `setting_for` measures batch-norm
            statistics again, for the rows.
        calibration_seed: Seed of the draw of calibration images, for the rows
            of a sweep over such draws; None for the data set's own.
        sweep: What the rows' `sweep` says. None: what varies within each
            pattern, "bit_width", "step_size", ... (see `kind_of`).
        metric: The metric that rows are about; the others stand in their
            details. None: "accuracy" where it is measured, else the first one
            that is not "loss".
        higher_is_better: Its direction, where `evaluate` does not say it.
        examples: Number of examples that `evaluate` goes through, if neither
            it nor its result says so.
        split: Name of the split that it goes through.
        provenance: What the report says of model, data and versions.
        finished: Rows of an earlier run; what they measured is not repeated.
        on_row: Called with the tuple of all rows after each new one.
        progress: Whether to show a progress bar.

    Warns where the weights look untrained.

    Returns:
        A `Report` of one run, with a row for each point, in their order.
        Numbers in a setting's provenance stand in the details of its row.

    Raises:
        TypeError: If `model` or `points` are none, `evaluate` is no function
            that returns a dictionary, or `setting_for` returns no `Setting`.
        ValueError: If a text writes no points, a point cannot be set, `ptq`
            names a method that is given nothing to look at,
            `setting_for` returns a setting of another point, or nothing says
            the direction of the metric or how many examples it comes from.
            Rows so far were handed to `on_row`.
    """
    if hasattr(evaluate, "batches"):
        examples, split = evaluate.count, evaluate.name
        evaluate = Evaluator(evaluate)
    some_quantizers_of(model)  # Raises where there are none.
    _check_evaluate(evaluate)
    if calibration is not None:
        _check_search(ptq, setting_for)
        ptq, setting_for = calibrated_settings(
            model, ptq, calibration, progress=progress
        )
    elif setting_for is None:
        check_label(ptq)
    stops = stops_at(
        points,
        sweep,
        ptq=ptq,
        setting_for=setting_for,
        calibration_seed=calibration_seed,
        reestimated_batch_norm=reestimated_batch_norm,
    )
    warn_if_untrained(model)
    rows = rows_at(
        model,
        stops,
        evaluate,
        {"run": name, "placement": placement, "split": split},
        metric=metric,
        higher_is_better=higher_is_better,
        examples=examples,
        finished=finished,
        on_row=on_row,
        progress=progress,
    )
    facts = evaluated_facts(model, evaluate)
    return report_of(name, rows, {**facts, **(provenance or {})})


def rows_at(
    model,
    stops,
    evaluate,
    shared,
    *,
    metric=None,
    higher_is_better=None,
    examples=None,
    finished=(),
    on_row=None,
    progress=True,
):
    """Returns a row for each `Stop`, in their order.

    Args:
        model: A fake-quantized model, which is left as it was.
        stops: `Stop`s.
        evaluate: A function `evaluate(model) -> {metric: value}`.
        shared: Fields that all rows have in common, "run" among them.
        metric, higher_is_better, examples, finished, on_row, progress: As for
            `run_sweep`.

    Raises:
        TypeError, ValueError: As `run_sweep`.
    """
    if metric is not None:
        shared = {**shared, "metric": metric}
    rows = []
    bar = ProgressBar(stops, shared["run"], progress=progress, unit="point")
    for stop in bar:
        labels = {**shared, **stop.labels}
        bar.set_postfix_str(f"{labels['point']} {labels['layer'] or ''}")
        row = next((row for row in finished if _says(row, labels)), None)
        if row is not None:
            rows.append(row)
            continue
        start = time.perf_counter()
        setting = stop.setting()
        with keeping(model):
            apply(model, setting)
            measured = evaluate(model)
        check_kind("what evaluate(model) returns", measured, dict, "{'a': 1.0}")
        result = result_fields(
            measured,
            metric=metric,
            higher_is_better=higher_is_better,
            examples=examples,
        )
        result["details"] |= _numbers(setting.provenance)
        seconds = round(time.perf_counter() - start, 3)
        rows.append(Row(**labels | result, seconds=seconds))
        if on_row is not None:
            on_row(tuple(rows))
    return tuple(rows)


def evaluated_facts(model, evaluate) -> dict:
    """Returns what a report says of a model that `evaluate` has measured."""
    facts = quantized_share(model).facts()
    if loss_name := getattr(evaluate, "loss_name", None):
        facts["loss_name"] = loss_name
    return facts


def report_of(name, rows, provenance) -> Report:
    """Returns the report of one run."""
    run = Run(name, tuple(rows), provenance=provenance)
    return Report(runs=(run,), title=f"Robustness of {name}")


def _check_evaluate(evaluate):
    if not callable(evaluate):
        raise TypeError(
            "Expected evaluate= a Split, or a function of the model that "
            f"returns {{metric: value}}. Received: {evaluate!r}."
        )


def _check_search(ptq, setting_for):
    if setting_for is not None or ptq is None:
        raise ValueError(
            "Expected with calibration= the name of a PTQ method, such as "
            f"ptq='lapq', and no setting_for. Received: ptq={ptq!r}, "
            f"setting_for={setting_for!r}."
        )


def _says(row, labels):
    return all(getattr(row, name) == value for name, value in labels.items())


def _numbers(provenance):
    return {
        name: value
        for name, value in provenance.items()
        if isinstance(value, numbers.Real)
    }
