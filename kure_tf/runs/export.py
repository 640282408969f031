"""Exporting a model to LiteRT files, in a folder."""

import pathlib

from kure_tf.export import export_tflite
from kure_tf.measurements import Row
from kure_tf.runs.file_metric import file_fields, with_metric
from kure_tf.settings.operating_point import OperatingPoint

_POINTS = {
    "converter_int8": OperatingPoint(8, 8),
    "converter_16x8": OperatingPoint(8, 16),
    "dynamic_range": OperatingPoint(8, None),
    "float16": OperatingPoint(),
    "float": OperatingPoint(),
}


def export(
    model,
    dataset,
    folder,
    modes=("converter_int8",),
    *,
    metric=None,
    name="model",
    **limits,
):
    """Writes LiteRT files of a model, each after verifying it.

    Args:
        model: A built float model.
        dataset: The `Dataset` with calibration images and test split.
        folder: Gets <mode>.tflite and <mode>.json.
        modes: Files to write: modes of `to_tflite` for a float model.
        metric: A metric, such as `evaluation.top_5`, that is measured of the
            files beside their accuracy or loss; None for none.
        name: What the report calls the model.
        **limits: `min_agreement`, `max_accuracy_drop`: see `export_tflite`.

    Returns:
        One `Row` for each file.

    Raises:
        TypeError, ValueError: As `export_tflite`.
    """
    rows = []
    for mode in modes:
        path = pathlib.Path(folder) / f"{mode}.tflite"
        found = export_tflite(
            model,
            path,
            dataset.calibration,
            dataset.test,
            mode=mode,
            **limits,
        )
        row = _row(name, mode, path, found, dataset.test.name)
        rows.append(with_metric(row, path.parent, dataset.test, metric, model))
    return tuple(rows)


def _row(name, mode, path, verification, split):
    fields = file_fields(
        verification.tflite_accuracy,
        verification.tflite_loss,
        verification.keras_loss,
    )
    compared = fields.pop("details")
    return Row(
        run=name,
        sweep="tflite",
        point=_POINTS[mode],
        ptq=None if _POINTS[mode].in_float else "converter",
        placement="tflite",
        **fields,
        examples=verification.images,
        split=split,
        details={
            "mode": mode,
            "file": path.name,
            "file_size": path.stat().st_size,
            "agreement": verification.agreement,
            "accuracy_drop": verification.accuracy_drop,
            **compared,
            "step_size_source": "converter",
        },
    )
