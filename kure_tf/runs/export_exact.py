"""Exporting a model at operating points to files of exactly its codes."""

import dataclasses
import pathlib

from kure_tf import export, ptq
from kure_tf.evaluation.latency import latencies
from kure_tf.fake_quantized import (
    apply,
    fake_quantize_model,
    keeping,
    quantizers_of,
)
from kure_tf.fake_quantized import placement as placements
from kure_tf.measurements import Row
from kure_tf.settings import Setting, all_points

_BATCH_SIZE = 128


def export_exact(
    model,
    dataset,
    folder,
    points,
    method="lp_norm",
    *,
    scheme="tflite",
    container=8,
    kernels="xnnpack",
    name="model",
):
    """Writes a LiteRT file for each operating point, each after verifying it.

    Args:
        model: A built float model; or one that has quantizers already, which
            keeps its placement.
        dataset: The `Dataset` with calibration images and test split.
        folder: Gets <point>.tflite and <point>.json, such as 4_8.tflite.
        points: Patterns of points without floats, such as "{8,4}/8"; or
            `Setting`s, which bring all that they need.
        method: A PTQ method or the name of one; None keeps the step sizes of
            a model from quantization-aware training.
        scheme: "paper", "tflite" or a `Placement`, for a float model. Layers
            that it pins to float get 8 bits: no file holds them otherwise.
        container: 8, 4 or 2: see `export.with_container`.
        kernels: A set of kernels, or several: see `export.export_exact`.
        name: What the report calls the model.

    Returns:
        One `Row` for each file. Its details hold its size, its agreement with
        the fake-quantized model, and `latency_ms`: the median of interleaved
        runs of one example on one thread.

    Raises:
        VerificationError: If a file is not what was foretold; those before it
            are there.
        TypeError, ValueError: As `export.export_exact` and `apply`.
    """
    folder = pathlib.Path(folder)
    if not quantizers_of(model):
        model = fake_quantize_model(model, _without_floats(scheme))
    settings = _settings(model, dataset, points, method)
    rows, files = [], {}
    for setting in settings:
        path = folder / f"{_file_name(setting.point)}.tflite"
        with keeping(model):
            apply(model, setting)
            found = export.export_exact(
                model,
                path,
                dataset.calibration,
                dataset.test,
                container=container,
                kernels=kernels,
            )
        rows.append(_row(name, setting, found, dataset.test.name, path))
        files[path.name] = path.read_bytes()
    return tuple(
        dataclasses.replace(row, details={**row.details, "latency_ms": time})
        for row, time in zip(rows, latencies(files).values(), strict=True)
    )


def _without_floats(scheme):
    placement = placements.get(scheme)
    ends = {
        end: 8
        for end in ("first_layer", "last_layer")
        if getattr(placement, end) == "float"
    }
    return dataclasses.replace(placement, **ends)


def _settings(model, dataset, points, method):
    points = [points] if isinstance(points, (str, Setting)) else list(points)
    given = [point for point in points if isinstance(point, Setting)]
    points = all_points([p for p in points if not isinstance(p, Setting)])
    if not points:
        return given
    if method is None:
        return given + [Setting(point) for point in points]
    batches = dataset.calibration.batches(_BATCH_SIZE)
    calibration = ptq.calibrate(model, batches, progress=False)
    setting_for = ptq.settings_for(calibration, ptq.get(method))
    return given + [setting_for(point) for point in points]


def _file_name(point):
    return str(point).replace("/", "_").replace(" ", "_")


def _row(name, setting, found, split, path):
    return Row(
        run=name,
        sweep="tflite",
        point=setting.point,
        ptq="exact codes",
        value=found.file_accuracy,
        examples=found.examples,
        split=split,
        details={
            "mode": f"exact, int{found.container}",
            "file": path.name,
            "file_size": found.file_size,
            "agreement": found.agreement,
            "accuracy_drop": found.keras_accuracy - found.file_accuracy,
            "step_size_source": "kure_tf",
        },
    )
