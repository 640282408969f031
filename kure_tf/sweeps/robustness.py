"""The standard sweeps of one model: bits, step sizes, powers of two."""

import dataclasses
import functools
import itertools
import pathlib

from kure_tf import ptq
from kure_tf.fake_quantized import (
    fake_quantize_model,
    keeping_quantizers,
    quantizers_of,
)
from kure_tf.fake_quantized import placement as placements
from kure_tf.operating_point import OperatingPoint
from kure_tf.report import Report, Run
from kure_tf.sweeps.augmented_batches import augmented_batches
from kure_tf.sweeps.batch_norm_images import (
    batch_norm_batches,
    batch_norm_facts,
)
from kure_tf.sweeps.dimensions import (
    CALIBRATION_SEED,
    calibration_images,
    check_dimensions,
    dimension_sweeps,
    expanded,
    methods_of,
)
from kure_tf.sweeps.evaluate import Evaluator
from kure_tf.sweeps.points import RATIOS, bit_width_points, step_size_points
from kure_tf.sweeps.provenance import array_hash, versions
from kure_tf.sweeps.rounding import SUFFIX, adarounding, check_roundings
from kure_tf.sweeps.run import run_sweep

_REESTIMATIONS = ((False,), (True,), (False, True))


@dataclasses.dataclass(frozen=True)
class SweepPlan:
    """Which operating points to measure, and how step sizes are found.

    Attributes:
        scheme: "paper", "tflite" or a `Placement`. A model that has quantizers
            already keeps its own, and reports say "qat".
        ptq: `{what reports call it: PTQ method}`. Each goes through the
            weights-only points, the last one through all others as well. The
            method None, to be called "trained", keeps the clipping ranges of
            a model that has quantizers already.
        weights_only: Weight bits of the points "b/FP".
        both: Bits of the points "b/b".
        both_by_all: Whether each PTQ method goes through these, not the last
            one alone.
        ratio_bits: Weight bits at which the step ratios are measured.
        ratios: Step ratios.
        power_of_two_bits: Weight bits at which steps are rounded to powers of
            two, to the nearest one and to the next larger one.
        points: Further operating points, for the last PTQ method.
        activation_ratio_bits: Bits b of the points b/b at which the steps of
            the activations alone go through `ratios`.
        joint_ratio_bits: Likewise, of weights and activations at once.
        rounding_modes: Rounding modes beside "nearest", such as "floor".
        rounding_bits: Weight bits at which they are measured.
        clipping_ratios: Ratios of the clip to the largest absolute weight.
            On every grid the clip is the step size times the largest level,
            and "minmax" puts it at that weight: a clipping ratio is a step
            ratio of that method.
        clipping_bits: Weight bits at which they are measured.
        sensitivity_bits: Weight bits b at which each layer is quantized alone,
            the others in float.
        sensitivity_ratios: Step ratios of one layer at a time, the others
            standing at b/FP.
        calibration_seeds: Seeds of other draws of calibration images.
        calibration_seed_bits: Bits b of the points b/b measured with each. (At
            b/FP few methods look at the images.)
        batch_size: Images per step.
        reestimate_batch_norm: `(False,)`: batch-norm statistics stay those of
            the training. `(True,)`: they are measured again at every point.
            `(False, True)`: all points are measured both ways.
        batch_norm_images: On how many training images; all if there are fewer.
        batch_norm_seed: Seed of their draw.
        batch_norm_augment: Augmentations of these images, those that the model
            was trained with. What batch normalization has learned to expect
            includes them: the black borders of shifts alone are worth two
            points of a ResNet-20 on CIFAR-10.
        calibration_augment: Augmentations of the calibration images; none of
            them by default. `learned_steps` finds steps for a network whose
            batch norm is estimated on augmented images, from such images.
        roundings: "nearest", "adaround" or both, as a tuple. With "adaround",
            rounding is learned at the quantized points of the last PTQ method
            whose steps are as that method gives them; rows call it "<method>
            + adaround". Without "nearest", those rows replace the ordinary
            ones; scaled and power-of-two steps are rounded to nearest always.
            It is learned on the images for batch norm (`batch_norm_images`,
            `batch_norm_augment`), whether or not batch norm is estimated again.

    Raises:
        ValueError: If there is no such scheme, no PTQ method, no way to treat
            batch norm or to round, or a point does not exist on the grids of
            the scheme.
    """

    scheme: object = "paper"
    ptq: dict = dataclasses.field(
        default_factory=lambda: {
            "minmax": ptq.minmax,
            "lp_norm p=2": ptq.lp_norm,
        }
    )
    weights_only: tuple = (8, 7, 6, 5, 4, 3, 2)
    both: tuple = (8, 7, 6, 5, 4, 3)
    both_by_all: bool = False
    ratio_bits: tuple = (4, 3)
    ratios: tuple = RATIOS
    power_of_two_bits: tuple = (4, 3)
    points: tuple = ()
    activation_ratio_bits: tuple = ()
    joint_ratio_bits: tuple = ()
    rounding_modes: tuple = ()
    rounding_bits: tuple = (4,)
    clipping_ratios: tuple = ()
    clipping_bits: tuple = (4,)
    sensitivity_bits: tuple = ()
    sensitivity_ratios: tuple = ()
    calibration_seeds: tuple = ()
    calibration_seed_bits: tuple = (4,)
    batch_size: int = 256
    reestimate_batch_norm: tuple = (False,)
    batch_norm_images: int = 1024
    batch_norm_seed: int = 0
    batch_norm_augment: tuple = ()
    calibration_augment: tuple = ()
    roundings: tuple = ("nearest",)

    def __post_init__(self):
        check_roundings(self.roundings)
        if tuple(self.reestimate_batch_norm) not in _REESTIMATIONS:
            raise ValueError(
                "Expected reestimate_batch_norm to be one of "
                f"{_REESTIMATIONS}. Received: {self.reestimate_batch_norm!r}."
            )
        if not self.ptq:
            raise ValueError(
                f"Expected at least one PTQ method, of {ptq.METHODS}. "
                "Received none."
            )
        if self.learns_rounding and list(self.ptq.values())[-1] is None:
            raise ValueError(
                "Expected a PTQ method that finds step sizes, one of "
                f"{ptq.METHODS}, as the last one, whose weights adaround "
                "rounds. Received trained steps: None."
            )
        check_dimensions(self)
        placement = placements.get(self.scheme)
        for _, _, points in self.sweeps():
            for point in points:
                placement.check_point(point)

    @property
    def learns_rounding(self):
        """Whether "adaround" is among the roundings."""
        return "adaround" in self.roundings

    def sweeps(self):
        """Yields `(kind of sweep, name of the PTQ method, points)`."""
        for index, name in enumerate(self.ptq):
            last = index == len(self.ptq) - 1
            both = self.both if last or self.both_by_all else ()
            points = bit_width_points(self.weights_only, both, fp=index == 0)
            if not last or "nearest" in self.roundings:
                yield "bit_width", name, points
            elif index == 0:
                yield "bit_width", name, points[:1]
        if self.learns_rounding:
            points = bit_width_points(self.weights_only, self.both, fp=False)
            yield "bit_width", name + SUFFIX, points
        for bits in self.ratio_bits:
            points = step_size_points(bits, ratios=self.ratios)
            yield "step_size", name, points
        rounded = [
            OperatingPoint(bits, None, step_rounding=rounding)
            for bits in self.power_of_two_bits
            for rounding in ("nearest", "up")
        ]
        if rounded:
            yield "power_of_two", name, rounded
        for kind, points in itertools.groupby(self.points, _kind):
            yield kind, name, list(points)
        yield from dimension_sweeps(self, name)

    def seeds(self, kind):
        """Returns the calibration seeds of a kind of sweep; None: the own."""
        return self.calibration_seeds if kind == CALIBRATION_SEED else (None,)


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
    if True in plan.reestimate_batch_norm:
        ptq.batch_norm_statistics(quantized)  # Raises where there is none.
    evaluate = Evaluator(dataset.test, batch_size=plan.batch_size)
    images = batch_norm_batches(dataset, plan)
    done = []
    with keeping_quantizers(quantized):
        methods, calibration = _methods(quantized, dataset, plan, progress)
    for reestimated, (kind, method_name, points, seed) in itertools.product(
        plan.reestimate_batch_norm, _seeded(plan)
    ):

        def keep(rows, done=tuple(done)):
            if folder is not None:
                _report(name, [*done, *rows], provenance).save_json(folder)

        with keeping_quantizers(quantized):
            report = run_sweep(
                quantized,
                expanded(kind, points, quantized),
                evaluate=evaluate,
                calibrate=methods(method_name.removesuffix(SUFFIX), seed),
                reestimate_batch_norm=images if reestimated else None,
                prepare=adarounding(
                    calibration(seed),
                    batches=images,
                    reestimated_batch_norm=reestimated,
                    progress=progress,
                )
                if method_name.endswith(SUFFIX)
                else None,
                name=name,
                sweep=kind,
                ptq=method_name,
                calibration_seed=seed,
                scheme=provenance["scheme"],
                images=dataset.test.count,
                split=dataset.test.name,
                provenance=provenance,
                finished=finished,
                on_row=keep,
                progress=progress,
            )
        done.extend(report.runs[0].rows)
    return _report(name, done, provenance)


def _kind(point):
    if point.step_rounding is not None:
        return "power_of_two"
    return "bit_width" if point.step_scale == 1.0 else "step_size"


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
        return functools.cache(lambda point: method(calibration(seed), point))

    if any(method is not None for method in plan.ptq.values()):
        calibration(None)
    return method_of, calibration


def _report(name, rows, provenance):
    run = Run(name=name, rows=tuple(rows), provenance=provenance)
    return Report(runs=(run,), title=f"Robustness of {name}")


def _provenance(model, dataset, plan):
    searches = any(method is not None for method in plan.ptq.values())
    facts = {
        "model": model.name,
        "checkpoint_hash": array_hash(model),
        "data_set": dataset.name,
        "split": dataset.test.name,
        "images": dataset.test.count,
        "scheme": _scheme(model, plan),
        "ptq": list(plan.ptq),
        "calibration": {
            "images": dataset.calibration.count,
            "source": f"{dataset.calibration.name} (training images)",
            **_augmentation(plan),
        }
        if searches
        else None,
        "batch_norm_reestimated": list(plan.reestimate_batch_norm),
        "roundings": list(plan.roundings),
        "versions": versions(),
    }
    drawn = batch_norm_facts(dataset, plan)
    return {**facts, "batch_norm": drawn} if drawn else facts


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
