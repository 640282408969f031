"""The standard sweeps of one model: bits, step sizes, powers of two."""

import dataclasses
import functools
import pathlib

from kure_tf import ptq
from kure_tf.fake_quantized import fake_quantize_model
from kure_tf.fake_quantized import placement as placements
from kure_tf.operating_point import OperatingPoint
from kure_tf.report import Report, Run
from kure_tf.sweeps.evaluate import Evaluator
from kure_tf.sweeps.points import RATIOS, bit_width_points, step_size_points
from kure_tf.sweeps.provenance import array_hash, versions
from kure_tf.sweeps.run import run_sweep


@dataclasses.dataclass(frozen=True)
class SweepPlan:
    """Which operating points to measure, and how step sizes are found.

    Attributes:
        scheme: "paper", "tflite" or a `Placement`.
        ptq: `{what reports call it: PTQ method}`. Each goes through the
            weights-only points, the last one through all others as well.
        weights_only: Weight bits of the points "b/FP".
        both: Bits of the points "b/b".
        ratio_bits: Weight bits at which the step ratios are measured.
        ratios: Step ratios.
        power_of_two_bits: Weight bits at which steps are rounded to powers of
            two, to the nearest one and to the next larger one.
        batch_size: Images per step.

    Raises:
        ValueError: If there is no such scheme, no PTQ method, or a point does
            not exist on the grids of the scheme.
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
    ratio_bits: tuple = (4, 3)
    ratios: tuple = RATIOS
    power_of_two_bits: tuple = (4, 3)
    batch_size: int = 256

    def __post_init__(self):
        if not self.ptq:
            raise ValueError(
                f"Expected at least one PTQ method, of {ptq.METHODS}. "
                "Received none."
            )
        placement = placements.get(self.scheme)
        for _, _, points in self.sweeps():
            for point in points:
                _check_bits(placement.weights, point.weight_bits)
                _check_bits(placement.activations, point.activation_bits)

    def sweeps(self):
        """Yields `(kind of sweep, name of the PTQ method, points)`."""
        for index, name in enumerate(self.ptq):
            last = index == len(self.ptq) - 1
            points = bit_width_points(
                self.weights_only, self.both if last else (), fp=index == 0
            )
            yield "bit_width", name, points
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


def measure_robustness(
    model, dataset, plan, *, name, folder=None, provenance=None, progress=True
):
    """Sweeps a float model over the operating points of a plan.

    Step sizes come from the data set's calibration images, which are training
    images; accuracies from its whole test split.

    Args:
        model: A built float model that returns logits.
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
        ValueError: If `folder` holds measurements of other weights or images.
    """
    provenance = {
        **(provenance or {}),
        **_provenance(model, dataset, plan),
    }
    finished = _finished(folder, name, provenance)
    quantized = fake_quantize_model(model, plan.scheme)
    calibration = ptq.calibrate(
        quantized,
        dataset.calibration.batches(plan.batch_size),
        provenance={"source": f"{dataset.name} {dataset.calibration.name}"},
        progress=progress,
    )
    evaluate = Evaluator(dataset.test, batch_size=plan.batch_size)
    done, run = [], None
    for kind, method_name, points in plan.sweeps():
        method = plan.ptq[method_name]

        def keep(rows, done=done):
            if folder is not None:
                _report(name, [*done, *rows], provenance).save_json(folder)

        report = run_sweep(
            quantized,
            points,
            evaluate=evaluate,
            calibrate=functools.partial(method, calibration),
            name=name,
            sweep=kind,
            ptq=method_name,
            scheme=placements.get(plan.scheme).name,
            images=dataset.test.count,
            split=dataset.test.name,
            provenance=provenance,
            finished=finished,
            on_row=keep,
            progress=progress,
        )
        (run,) = report.runs
        done.extend(run.rows)
    return _report(name, done, provenance)


def _check_bits(quantizer, bits):
    if quantizer is not None:
        quantizer.grid.check_bits(bits)


def _report(name, rows, provenance):
    run = Run(name=name, rows=tuple(rows), provenance=provenance)
    return Report(runs=(run,), title=f"Robustness of {name}")


def _provenance(model, dataset, plan):
    return {
        "model": model.name,
        "checkpoint_hash": array_hash(model),
        "data_set": dataset.name,
        "split": dataset.test.name,
        "images": dataset.test.count,
        "scheme": placements.get(plan.scheme).name,
        "ptq": list(plan.ptq),
        "calibration": {
            "images": dataset.calibration.count,
            "source": f"{dataset.calibration.name} (training images)",
        },
        "batch_norm_reestimated": False,
        "versions": versions(),
    }


def _finished(folder, name, provenance):
    """Returns the rows kept in `folder`, if they measured the same thing."""
    if folder is None or not (pathlib.Path(folder) / "report.json").is_file():
        return ()
    runs = {run.name: run for run in Report.load(folder).runs}
    if name not in runs:
        return ()
    kept = runs[name].provenance
    for what in ("checkpoint_hash", "data_set", "images", "calibration"):
        if kept.get(what) != provenance[what]:
            raise ValueError(
                f"Expected {str(folder)!r} to hold measurements of the same "
                "weights and images. It holds those with "
                f"{what}={kept.get(what)!r}; this is {provenance[what]!r}. "
                "Choose another folder, or delete that one."
            )
    return runs[name].rows
