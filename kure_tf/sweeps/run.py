"""The one loop that moves a model through operating points."""

import numbers
import time

from kure_tf.evaluation import Evaluator
from kure_tf.fake_quantized import apply, keeping, quantized_share
from kure_tf.fake_quantized.tensors import some_quantizers_of
from kure_tf.measurements import Report, Row, Run
from kure_tf.ops.checks import check_kind, check_several
from kure_tf.progress import ProgressBar
from kure_tf.settings import OperatingPoint, Setting, all_points
from kure_tf.sweeps.calibrated import calibrated_settings, check_label
from kure_tf.sweeps.kinds import kind_of
from kure_tf.sweeps.result import result_fields
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
    some_quantizers_of(model)  # Raises where there are none.
    if hasattr(evaluate, "batches"):
        examples, split = evaluate.count, evaluate.name
        evaluate = Evaluator(evaluate)
    if not callable(evaluate):
        raise TypeError(
            "Expected evaluate= a Split, or a function of the model that "
            f"returns {{metric: value}}. Received: {evaluate!r}."
        )
    if calibration is not None:
        if setting_for is not None or ptq is None:
            raise ValueError(
                "Expected with calibration= the name of a PTQ method, such as "
                f"ptq='lapq', and no setting_for. Received: ptq={ptq!r}, "
                f"setting_for={setting_for!r}."
            )
        ptq, setting_for = calibrated_settings(
            model, ptq, calibration, progress=progress
        )
    elif setting_for is None:
        check_label(ptq)
    shared = {
        "run": name,
        "placement": placement,
        "reestimated_batch_norm": reestimated_batch_norm,
        "calibration_seed": calibration_seed,
        "split": split,
    }
    if metric is not None:
        shared["metric"] = metric
    points = list(_with_kinds(points, sweep))
    warn_if_untrained(model)
    rows = []
    bar = ProgressBar(points, name, progress=progress, unit="point")
    for kind, point in bar:
        labels = {**shared, **_labels(point, kind, ptq)}
        bar.set_postfix_str(f"{labels['point']} {labels['layer'] or ''}")
        row = next((row for row in finished if _says(row, labels)), None)
        if row is not None:
            rows.append(row)
            continue
        start = time.perf_counter()
        setting = _setting(point, setting_for)
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
        rows.append(Row(**{**labels, **result}, seconds=seconds))
        if on_row is not None:
            on_row(tuple(rows))
    loss_name = getattr(evaluate, "loss_name", None)
    facts = quantized_share(model).facts()
    if loss_name:
        facts["loss_name"] = loss_name
    run = Run(name, tuple(rows), provenance={**facts, **(provenance or {})})
    return Report(runs=(run,), title=f"Robustness of {name}")


def _with_kinds(points, sweep):
    """Yields (kind of sweep, point or setting)."""
    if isinstance(points, (str, OperatingPoint, Setting)):
        points = [points]
    seen = set()
    for given in check_several("points", points, "['{8..2}/FP', '4/4']"):
        found = [given] if isinstance(given, Setting) else all_points(given)
        kind = sweep or kind_of(found)
        for point in found:
            if (kind, point) not in seen:
                seen.add((kind, point))
                yield kind, point


def _labels(point, kind, ptq):
    """Returns the fields of a row that say where it was measured."""
    bare = _bare(point)
    return {
        "point": bare.point,
        "layer": bare.layer,
        "others": bare.others,
        "ptq": None if bare.in_float else ptq,
        "sweep": kind,
    }


def _bare(point):
    return point if isinstance(point, Setting) else Setting(point)


def _says(row, labels):
    return all(getattr(row, name) == value for name, value in labels.items())


def _setting(point, setting_for):
    bare = _bare(point)
    if setting_for is None:
        return bare
    setting = setting_for(point)
    if not isinstance(setting, Setting):
        raise TypeError(
            "Expected setting_for(point) to return a Setting, such as "
            "Setting(point, step_sizes=ptq.lp_norm(calibration, point)). "
            f"Received: {type(setting).__name__}."
        )
    where = [(s.point, s.layer, s.others) for s in (setting, bare)]
    if where[0] != where[1]:
        raise ValueError(
            f"Expected setting_for(point) to return a Setting at '{bare.point}'"
            f", where it was asked for. Received one at '{setting.point}'."
        )
    return setting


def _numbers(provenance):
    return {
        name: value
        for name, value in provenance.items()
        if isinstance(value, numbers.Real)
    }
