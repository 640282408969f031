"""All sweeps of a plan on one model."""

import functools
import itertools
import pathlib

from kure_tf import ptq
from kure_tf.data.split import calibration_draw
from kure_tf.evaluation import Evaluator, loss_of
from kure_tf.fake_quantized import (
    batch_norm_statistics,
    fake_quantize_model,
    keeping,
    quantized_share,
    quantizers_of,
)
from kure_tf.fake_quantized import placement as placements
from kure_tf.measurements import Report, Shard
from kure_tf.ptq.adaround import check_roundable
from kure_tf.sweeps.batch_norm_images import (
    augmented_batches,
    batch_norm_batches,
    batch_norm_facts,
)
from kure_tf.sweeps.methods import ADAROUND
from kure_tf.sweeps.planned_stops import planned_stops
from kure_tf.sweeps.provenance import measurement_facts
from kure_tf.sweeps.run import report_of, rows_at
from kure_tf.sweeps.untrained import warn_if_untrained


def measure_robustness(
    model,
    dataset,
    plan,
    *,
    name,
    metric=None,
    folder=None,
    provenance=None,
    shard=None,
    progress=True,
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
        metric: What is measured, such as `evaluation.top_5`; the loss stands
            in the details. None: as for `evaluate_robustness`.
        folder: Where `report.json` is kept after each row. Rows found there
            are not measured again. None keeps nothing.
        provenance: What the report says beyond what is known here.
        shard: A `Shard` or its text, such as "0/2": the points that this
            process measures; `Report.merge` makes one report of all parts.
            Its provenance says how many "planned_rows" all parts have
            together. None: all points.
        progress: Whether to show progress bars.

    Returns:
        A `Report` of one run.

    Raises:
        ValueError: If `folder` holds measurements of other weights or images,
            trained steps are asked of a float model, or batch norm is to be
            estimated again in a model without one.
    """
    check_plan(model, plan)
    quantized = model
    if not quantizers_of(model):
        quantized = fake_quantize_model(model, plan.placement)
    if plan.learns_rounding:
        check_roundable(quantized)
    if True in plan.batch_norm_ways:
        batch_norm_statistics(quantized)  # Raises where there is none.
    provenance = {
        **(provenance or {}),
        **_provenance(model, dataset, plan),
        **quantized_share(quantized).facts(),
    }
    finished = finished_rows(folder, name, provenance)
    bench = _Bench(quantized, dataset, plan, metric, progress)
    stops = planned_stops(quantized, plan, bench.setting)
    if shard is not None:
        part = Shard.parse(shard)
        provenance |= {"shard": str(part), "planned_rows": len(stops)}
        stops = part.own(stops)

    def keep(rows):
        # What an earlier run measured and this one has not come to.
        known = set(map(id, rows))
        waiting = [row for row in finished if id(row) not in known]
        report_of(name, [*rows, *waiting], provenance).save(folder)

    warn_if_untrained(quantized)
    rows = rows_at(
        quantized,
        stops,
        bench.evaluate,
        {
            "run": name,
            "placement": provenance["placement"],
            "split": dataset.test.name,
        },
        metric=metric and metric.metric_name,
        examples=dataset.test.count,
        finished=finished,
        on_row=None if folder is None else keep,
        progress=progress,
    )
    return report_of(name, rows, provenance)


def check_plan(model, plan):
    """Raises a ValueError if a model cannot be put at the points of a plan."""
    tensors = quantizers_of(model)
    if None in plan.ptq_methods.values() and not tensors:
        raise ValueError(
            "Expected a model with quantizers, whose 'trained' step sizes can "
            f"be kept. Received the float model {model.name!r}. Name a method "
            f"that finds step sizes, one of {ptq.METHODS}."
        )
    points = [point for sweep in plan.sweeps for point in sweep.points]
    for point, tensor in itertools.product(points, tensors.values()):
        if tensor.pinned_bits is None:
            weight = tensor.kind == "weight"
            bits = point.weight_bits if weight else point.activation_bits
            tensor.quantizer.grid.check_bits(bits)


class _Bench:
    """One model, with what its sweeps have in common: each found once."""

    def __init__(self, model, dataset, plan, metric, progress):
        self._model, self._dataset, self._plan = model, dataset, plan
        self._progress = progress
        self.evaluate = Evaluator(
            dataset.test,
            None if metric is None else (metric, _loss(model, dataset)),
            batch_size=plan.batch_size,
        )
        self._batch_norm = batch_norm_batches(dataset, plan)
        # Several sweeps go through the same bits.
        self._calibration = functools.cache(self._calibrated)
        self._steps = functools.cache(self._searched)
        self._settings = functools.cache(self._setting_for)

    def setting(self, method, seed, reestimated, place):
        """Returns the setting at a place: see `planned_stops`."""
        return self._settings(method, seed, reestimated)(place)

    def _setting_for(self, name, seed, reestimated):
        name, learned, _ = (name or "").partition(ADAROUND)
        method = self._plan.ptq_methods.get(name)
        searched = functools.partial(self._steps, name, seed)
        rounding = functools.partial(
            ptq.adaround, batches=self._batch_norm, progress=self._progress
        )
        return ptq.settings_for(
            ptq.Calibration({}, {}, self._model)
            if method is None
            else self._calibration(seed),
            None if method is None else lambda _, point: searched(point),
            rounding=rounding if learned else None,
            batch_norm=self._batch_norm if reestimated else None,
        )

    def _searched(self, name, seed, point):
        method = self._plan.ptq_methods[name]
        return method(self._calibration(seed), point)

    def _calibrated(self, seed):
        images = _calibration_images(self._dataset, seed)
        with keeping(self._model):
            return ptq.calibrate(
                self._model,
                augmented_batches(
                    images,
                    self._plan.batch_size,
                    augment=self._plan.calibration_augment,
                ),
                provenance={
                    "source": f"{self._dataset.name} {images.name}",
                    **_augmentation(self._plan),
                },
                progress=self._progress,
            )


def _loss(model, dataset):
    return loss_of(model, dataset.test.some_labels())


def _calibration_images(dataset, seed):
    """Returns the calibration images, for a seed those of another draw.

    As many, and out of the training split as well.
    """
    if seed is None:
        return dataset.calibration
    return calibration_draw(dataset.train, dataset.calibration.count, seed)


def _provenance(model, dataset, plan):
    facts = measurement_facts(
        model,
        dataset,
        batch_norm_facts(dataset, plan),
        **_augmentation(plan),
    )
    if all(method is None for method in plan.ptq_methods.values()):
        facts["calibration"] = None
    return {
        **facts,
        "placement": _placement(model, plan),
        "ptq": list(plan.ptq_methods),
        "batch_norm_reestimated": list(plan.batch_norm_ways),
    }


def _augmentation(plan):
    augment = list(plan.calibration_augment)
    return {"augment": augment} if augment else {}


def _placement(model, plan):
    return (
        "qat" if quantizers_of(model) else placements.get(plan.placement).name
    )


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
