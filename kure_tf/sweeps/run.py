"""The one loop that moves a model through operating points."""

import collections.abc
import contextlib
import dataclasses
import time

from tqdm import tqdm

from kure_tf.evaluation.evaluate import Evaluator
from kure_tf.fake_quantized import (
    batch_norm_statistics,
    keeping,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.measurements import Report, Row, Run
from kure_tf.ptq import reestimate_batch_norm
from kure_tf.settings.operating_point import OperatingPoint
from kure_tf.sweeps.layer_point import LayerPoint


def run_sweep(
    model,
    points,
    *,
    evaluate,
    calibrate=None,
    reestimate_batch_norm=None,
    prepare=None,
    name="model",
    sweep="bit_width",
    ptq=None,
    scheme=None,
    images=None,
    split="test",
    calibration_seed=None,
    provenance=None,
    finished=(),
    on_row=None,
    progress=True,
):
    """Evaluates a fake-quantized model at each operating point.

    Moving to a point writes variables only, so that `evaluate` compiles once
    for the whole sweep. The model is left in float.

    Args:
        model: What `fake_quantize_model` or `quantize_aware` returned.
        points: `OperatingPoint`s or their texts, or `LayerPoint`s: one layer
            at a point, the others at another one.
        evaluate: A `Split` of a data set, or a function `evaluate(model) ->
            {"accuracy": ..., "loss": ..., "images": ...}`, such as an
            `Evaluator`, or `lambda m: m.evaluate(batches, return_dict=True)`.
        calibrate: `calibrate(point) -> StepSizes`, such as
            `functools.partial(lp_norm, calibration)`. It is called once for
            each distinct (weight bits, activation bits); step ratios and
            roundings multiply its steps. None keeps the clipping ranges that
            the model has.
        reestimate_batch_norm: Batches of training images, or of (images,
            labels), that can be gone through once per point: batch-norm
            statistics are measured again on them at every point, float
            included so that points compare, and put back after it. None
            keeps the model's.
        prepare: `prepare(point, step_sizes)`, a context manager that is open
            while the model is measured at a point (`sweeps.adarounding`): what
            it does to the weights comes before batch norm is estimated again.
            It may give a dictionary of numbers for the row's `details`.
            `step_sizes` is what `calibrate` returned, or None.
        name: What the report calls the model.
        sweep: What the rows' `sweep` says: "bit_width", "step_size", ...
        ptq: What the rows say of the PTQ method.
        scheme: What the rows say of the placement.
        images: Number of images that `evaluate` goes through, if neither it
            nor its result says so.
        split: Name of the split that it goes through.
        calibration_seed: Seed of the draw of calibration images, for the rows
            of a sweep over such draws; None for the data set's own.
        provenance: What the report says of model, data and versions.
        finished: Rows of an earlier run; what they measured is not repeated.
        on_row: Called with the tuple of all rows after each new one.
        progress: Whether to show a progress bar.

    Returns:
        A `Report` of one run, with a row for each point, in their order.

    Raises:
        ValueError: If a point cannot be set, nothing says how many images an
            accuracy comes from, or batch norm is to be estimated again on a
            model without one or on images that give no statistics. Rows so
            far were handed to `on_row`.
    """
    places = [_as_layer_point(point) for point in points]
    if reestimate_batch_norm is not None:
        _check_reestimation(model, reestimate_batch_norm)
    if hasattr(evaluate, "batches"):
        images, split = evaluate.count, evaluate.name
        evaluate = Evaluator(evaluate)
    known = {_measurement(row): row for row in finished}
    rows, step_sizes = [], {}
    bar = tqdm(places, name, disable=not progress, unit="point", leave=False)
    for place in bar:
        point = place.point
        bar.set_postfix_str(f"{point} {place.layer or ''}")
        row = Row(
            run=name,
            point=point,
            layer=place.layer,
            others=place.others_or_none,
            calibration_seed=calibration_seed,
            ptq=None if place.in_float else ptq,
            scheme=scheme,
            reestimated_batch_norm=reestimate_batch_norm is not None,
            value=0.0,
            examples=images or 1,
            split=split,
            sweep=sweep,
        )
        if _measurement(row) in known:
            rows.append(known[_measurement(row)])
            continue
        start = time.perf_counter()
        bits = (point.weight_bits, point.activation_bits)
        if calibrate is not None:
            if bits not in step_sizes:
                step_sizes[bits] = calibrate(OperatingPoint(*bits))
            set_step_sizes(model, step_sizes[bits])
        with contextlib.ExitStack() as stack:
            prepared = {}
            if prepare is not None:
                steps = step_sizes.get(bits)
                prepared = stack.enter_context(prepare(point, steps)) or {}
            details = stack.enter_context(
                _standing_at(model, place, reestimate_batch_norm)
            )
            measured = {**evaluate(model), **details, **prepared}
        seconds = time.perf_counter() - start
        rows.append(_measured(row, measured, images, seconds))
        if on_row is not None:
            on_row(tuple(rows))
    set_operating_point(model, OperatingPoint())
    run = Run(name=name, rows=tuple(rows), provenance=provenance or {})
    return Report(runs=(run,), title=f"Robustness of {name}")


def _as_layer_point(point):
    """Returns where all layers stand; `layer` None: all at one point."""
    if isinstance(point, LayerPoint):
        return point
    if not isinstance(point, OperatingPoint):
        point = OperatingPoint.parse(point)
    return LayerPoint(None, point)


@contextlib.contextmanager
def _standing_at(model, place, batches):
    """While open, the model stands there; gives what rows say of it."""
    if batches is None:
        place.set(model)
        yield {}
        return
    # Put back after each point, not at the end: methods that look for the
    # next step sizes may run the model.
    with keeping(model):
        place.set(model)
        yield {"batch_norm_images": reestimate_batch_norm(model, batches)}


def _check_reestimation(model, batches):
    batch_norm_statistics(model)
    if isinstance(batches, collections.abc.Iterator):
        raise ValueError(
            "Expected batches that can be gone through again at every point, "
            "to re-estimate batch norm. Received an iterator "
            f"({type(batches).__name__}), which is used up after the first "
            "one. Pass a list of batches or a tf.data.Dataset."
        )


def _measurement(row):
    """What identifies a row before it is measured: the key without count."""
    return dataclasses.replace(row, examples=1).key


def _measured(row, measured, images, seconds):
    if "accuracy" not in measured:
        raise ValueError(
            "Expected `evaluate` to return a dictionary with 'accuracy', as "
            "`model.evaluate(..., return_dict=True)` does for a model "
            "compiled with metrics=['accuracy']. Received: "
            f"{sorted(measured)}."
        )
    images = measured.get("images", images)
    if images is None:
        raise ValueError(
            "Expected to learn how many images an accuracy comes from: its "
            "standard error needs them. Neither `images` nor what `evaluate` "
            "returned says so. Pass run_sweep(..., images=len(labels)), or "
            "evaluate=dataset.test."
        )
    details = {
        key: float(value)
        for key, value in measured.items()
        if key not in ("accuracy", "images")
    }
    return dataclasses.replace(
        row,
        examples=int(images),
        value=float(measured["accuracy"]),
        standard_error=None,  # That of the new value.
        seconds=round(seconds, 3),
        details=details,
    )
