"""Flags of the export to LiteRT, and the one function that exports by them."""

from absl import flags

EXPORT = flags.DEFINE_list(
    "export",
    ["int8"],
    "Files to write: 'int8' (full integer), 'dynamic_range', 'float'; empty "
    "for none.",
)
_MODES = ("int8", "dynamic_range", "float")
flags.register_validator(
    "export",
    lambda modes: all(mode in _MODES for mode in modes if mode),
    f"Expected files to write, of {_MODES}, separated by commas.",
)
MIN_AGREEMENT = flags.DEFINE_float(
    "min_agreement",
    0.98,
    "Least share of test images on which file and Keras model must agree.",
)
MAX_ACCURACY_DROP = flags.DEFINE_float(
    "max_accuracy_drop",
    0.01,
    "Largest loss of top-1 accuracy against the Keras model, as a fraction.",
)


def export(model, dataset, folder, *, name):
    """Exports, verifies and returns the report rows of --export.

    Args:
        model: The float Keras model.
        dataset: Gives calibration images and the test split.
        folder: Gets <mode>.tflite and <mode>.json.
        name: What the report calls the model.
    """
    from kure_tf.export import export_tflite
    from kure_tf.measurements import Row
    from kure_tf.settings.operating_point import OperatingPoint

    rows = []
    for mode in filter(None, EXPORT.value):
        path = folder / f"{mode}.tflite"
        verification = export_tflite(
            model,
            path,
            dataset.calibration,
            dataset.test,
            mode=mode,
            min_agreement=MIN_AGREEMENT.value,
            max_accuracy_drop=MAX_ACCURACY_DROP.value,
        )
        rows.append(
            Row(
                run=name,
                sweep="tflite",
                point=OperatingPoint(
                    None if mode == "float" else 8,
                    8 if mode == "int8" else None,
                ),
                ptq=None if mode == "float" else "converter",
                scheme="tflite",
                value=verification.tflite_accuracy,
                examples=verification.images,
                split=dataset.test.name,
                details={
                    "mode": mode,
                    "file_size": path.stat().st_size,
                    "agreement": verification.agreement,
                    "accuracy_drop": verification.accuracy_drop,
                    "step_size_source": "converter",
                },
            )
        )
    return tuple(rows)
