"""The standard sweeps of one model: bits, step sizes, powers of two."""

import functools
import itertools
import pathlib

from kure_tf import fake_quantized, ptq
from kure_tf.evaluation.evaluate import Evaluator
from kure_tf.fake_quantized import (
    fake_quantize_model,
    keeping,
    quantizers_of,
)
from kure_tf.fake_quantized import placement as placements
from kure_tf.measurements import Report, Run
from kure_tf.ptq.adaround import check_roundable
from kure_tf.sweeps.augmented_batches import augmented_batches
from kure_tf.sweeps.batch_norm_images import (
    batch_norm_batches,
    batch_norm_facts,
)
from kure_tf.sweeps.dimensions import calibration_images, expanded, methods_of
from kure_tf.sweeps.provenance import measurement_facts
from kure_tf.sweeps.rounding import SUFFIX
from kure_tf.sweeps.run import run_sweep


def measure_robustness(
    model, dataset, plan, *, name, folder=None, provenance=None, progress=True
):
    """Sweeps a model over the operating points of a plan.

    Step sizes come from the data set's calibration images, batch-norm
    statistics that are measured again from a draw of its training split, both
    of them training images; accuracies from its whole test split.

    Args:
        model: A built float model that returns logits, which is not changed;
            or one that has quantizers already, as it comes out of
            quantization-aware training. The latter is swept itself, and left
            with the step sizes and at the operating point that it came with.
        dataset: A `Dataset`.
        plan: A `SweepPlan`.
        name: What the report calls the model.
        folder: Where `report.json` is kept after each row. Rows found there
            are not measured again. None keeps nothing.
        provenance: What the report says beyond what is known here.
        progress: Whether to show progress bars.

    Returns:
        A `Report` of one run.

    Raises:
        ValueError: If `folder` holds measurements of other weights or images,
            trained steps are asked of a float model, or batch norm is to be
            estimated again in a model without one.
    """
    _check_plan(model, plan)
    provenance = {
        **(provenance or {}),
        **_provenance(model, dataset, plan),
    }
    finished = finished_rows(folder, name, provenance)
    quantized = model
    if not quantizers_of(model):
        quantized = fake_quantize_model(model, plan.scheme)
    if plan.learns_rounding:
        check_roundable(quantized)
    if True in plan.reestimate_batch_norm:
        fake_quantized.batch_norm_statistics(
            quantized
        )  # Raises where there is none.
    evaluate = Evaluator(dataset.test, batch_size=plan.batch_size)
    images = batch_norm_batches(dataset, plan)
    done = []
    with keeping(quantized):
        methods, calibration = _methods(quantized, dataset, plan, progress)
    for reestimated, (kind, method_name, points, seed) in itertools.product(
        plan.reestimate_batch_norm, _seeded(plan)
    ):

        def keep(rows, done=tuple(done)):
            if folder is not None:
                reached = [*done, *rows]
                known = set(map(id, reached))
                # What an earlier run measured and this one has not come to.
                waiting = [row for row in finished if id(row) not in known]
                _report(name, [*reached, *waiting], provenance).save(folder)

        method = methods(method_name.removesuffix(SUFFIX), seed)
        with keeping(quantized):
            report = run_sweep(
                quantized,
                expanded(kind, points, quantized),
                evaluate=evaluate,
                setting_for=ptq.settings_for(
                    ptq.Calibration({}, {}, quantized)
                    if method is None
                    else calibration(seed),
                    method,
                    rounding=functools.partial(
                        ptq.adaround, batches=images, progress=progress
                    )
                    if method_name.endswith(SUFFIX)
                    else None,
                    batch_norm=images if reestimated else None,
                ),
                reestimated_batch_norm=reestimated,
                name=name,
                sweep=kind,
                ptq=method_name,
                calibration_seed=seed,
                scheme=provenance["scheme"],
                examples=dataset.test.count,
                split=dataset.test.name,
                provenance=provenance,
                finished=finished,
                on_row=keep,
                progress=progress,
            )
        done.extend(report.runs[0].rows)
    return _report(name, done, provenance)


def _check_plan(model, plan):
    tensors = quantizers_of(model)
    for name, method in plan.ptq.items():
        if method is None and not tensors:
            raise ValueError(
                "Expected a model with quantizers, whose trained step sizes "
                f"the PTQ method {name!r} (None) keeps. Received the float "
                f"model {model.name!r}. Name a method that finds step sizes, "
                f"one of {ptq.METHODS}."
            )
    for _, _, points in plan.sweeps():
        for point, tensor in itertools.product(points, tensors.values()):
            if tensor.pinned_bits is None:
                weight = tensor.kind == "weight"
                bits = point.weight_bits if weight else point.activation_bits
                tensor.quantizer.grid.check_bits(bits)


def _seeded(plan):
    """Yields `(kind, name of the PTQ method, points, calibration seed)`."""
    for kind, method_name, points in plan.sweeps():
        for seed in plan.seeds(kind):
            yield kind, method_name, points, seed


def _methods(model, dataset, plan, progress):
    """Returns `methods(name, seed) -> calibrate(point)`, `calibration(seed)`.

    None stands for the function of trained steps, and for the data set's own
    draw of calibration images. Answers are kept: several sweeps go through the
    same bits.
    """

    @functools.cache
    def calibration(seed):
        images = calibration_images(dataset, seed)
        return ptq.calibrate(
            model,
            augmented_batches(
                images, plan.batch_size, augment=plan.calibration_augment
            ),
            provenance={
                "source": f"{dataset.name} {images.name}",
                **_augmentation(plan),
            },
            progress=progress,
        )

    @functools.cache
    def method_of(name, seed):
        method = methods_of(plan)[name]
        if method is None:
            return None
        at = functools.cache(lambda point: method(calibration(seed), point))
        return lambda _, point: at(point)

    if any(method is not None for method in plan.ptq.values()):
        calibration(None)
    return method_of, calibration


def _report(name, rows, provenance):
    run = Run(name=name, rows=tuple(rows), provenance=provenance)
    return Report(runs=(run,), title=f"Robustness of {name}")


def _provenance(model, dataset, plan):
    facts = measurement_facts(
        model,
        dataset,
        batch_norm_facts(dataset, plan),
        **_augmentation(plan),
    )
    if all(method is None for method in plan.ptq.values()):
        facts["calibration"] = None
    return {
        **facts,
        "scheme": _scheme(model, plan),
        "ptq": list(plan.ptq),
        "batch_norm_reestimated": list(plan.reestimate_batch_norm),
        "roundings": list(plan.roundings),
    }


def _augmentation(plan):
    augment = list(plan.calibration_augment)
    return {"augment": augment} if augment else {}


def _scheme(model, plan):
    return "qat" if quantizers_of(model) else placements.get(plan.scheme).name


def finished_rows(folder, name, provenance):
    """Returns the rows kept in `folder`, if they measured the same thing.

    Raises:
        ValueError: If those are of other weights or images.
    """
    if folder is None or not (pathlib.Path(folder) / "report.json").is_file():
        return ()
    runs = {run.name: run for run in Report.load(folder).runs}
    if name not in runs:
        return ()
    kept = runs[name].provenance
    same = ["checkpoint_hash", "data_set", "images", "calibration"]
    if "batch_norm" in kept and "batch_norm" in provenance:
        same.append("batch_norm")
    for what in same:
        if kept.get(what) != provenance[what]:
            raise ValueError(
                f"Expected {str(folder)!r} to hold measurements of the same "
                "weights and images. It holds those with "
                f"{what}={kept.get(what)!r}; this is {provenance[what]!r}. "
                "Choose another folder, or delete that one."
            )
    return runs[name].rows
