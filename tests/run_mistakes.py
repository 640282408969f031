"""Wrong arguments for what reads data, trains, sweeps or writes files."""

import math

import numpy as np
from small_run import RECIPE, make_dataset, make_model, make_plan
from wrong_arguments import (
    CHOICE,
    COUNT,
    FILE,
    MODEL,
    Door,
    entered,
    wild,
)

from kure_tf import (
    artifact,
    data,
    export,
    fake_quantize_model,
    models,
    runs,
    settings,
    sweeps,
    training,
)
from kure_tf.compat import keras
from kure_tf.evaluation import evaluate
from kure_tf.measurements import Report, Run


def of_data(folder):
    images = np.arange(48, dtype=np.uint8).reshape(3, 4, 4, 1)
    pair = images, np.arange(3)
    (folder / "a_file").write_text("a text")
    (folder / "a_folder").mkdir()
    wrong_pairs = (
        *(None, 7, "x", (images,), (images, np.arange(2))),
        *((images.astype(str), pair[1]), (images[:0], pair[1][:0])),
        *((images, pair[1] - 1), (images, pair[1] / 2), (images[0], pair[1])),
        (images * math.nan, pair[1]),
    )
    return {
        "from_arrays": Door(
            data.from_arrays,
            {"train": pair, "test": pair},
            {
                "train": wrong_pairs,
                "test": wrong_pairs,
                "num_classes": (-1, 0, 2, 1.5, "x"),
                "calibration_count": COUNT,
                "calibration_seed": (-1, 1.5, "x"),
            },
        ),
        "folder_dataset": Door(
            data.folder_dataset,
            {},
            {
                "path": (
                    *(None, "", "gone", "a\0b", 7),
                    *(folder / "a_file", folder / "a_folder"),
                )
            },
        ),
        "get": Door(
            data.get,
            {"name": "digits"},
            {"name": (None, 7, "", "gone", "folder:gone", "../digits")},
        ),
        "load_dataset": Door(
            runs.load_dataset,
            {"name": "digits"},
            {"name": ("os:system", "gone.m:f", "x:", ":x", "json:dumps")},
        ),
        "load_metric": Door(
            runs.load_metric,
            {"name": "top_5"},
            {"name": ("speed", "os:system", ":x", "json:dumps")},
        ),
        "load_model": Door(
            runs.load_model,
            {"name": "small_cnn", "dataset": make_dataset()},
            {
                "name": (
                    *("gone", "gone.keras", "os:system", ":x", "x:", ""),
                    str(folder / "a_file"),
                )
            },
        ),
    }


def of_training(folder):
    a_file = folder / "a_file"
    good = {"model": make_model(), "dataset": make_dataset(), "recipe": RECIPE}
    softmax = keras.Sequential([*make_model().layers, keras.layers.Softmax()])
    return {
        "fit": Door(
            training.fit,
            {**good, "verbose": 0},
            {
                "model": (
                    *(*MODEL, softmax, models.small_cnn()),
                    *(wild(math.nan), wild(math.inf), wild(3e38)),
                ),
                "dataset": (None, 7, "digits", []),
                "recipe": (None, 7, {}),
                "workdir": (a_file, a_file / "below", "a\0b", "x" * 300),
            },
        ),
        "run_folder": Door(
            entered,
            {"path": folder / "work", "tool": "t", "flags": {"a": "b"}},
            {
                "path": (a_file, a_file / "below", "a\0b", "x" * 300),
                "flags": ({"a": "b "}, {"a": "b\x07"}),
            },
        ),
    }


def of_sweeps():
    quantized = fake_quantize_model(make_model())
    dataset = make_dataset()
    return {
        "SweepPlan": Door(
            make_plan,
            {},
            {
                "points": (("4-8",), ("magic:4/FP",), 7, "4/FP"),
                "ptq": CHOICE,
                "placement": CHOICE,
                "calibration_seeds": ((-1,), ("x",)),
            },
        ),
        "run_sweep": Door(
            sweeps.run_sweep,
            {
                "model": quantized,
                "points": ["4/FP"],
                "evaluate": dataset.test,
                "progress": False,
            },
            {
                "model": (*MODEL, make_model()),
                "points": (["4-8"], 7),
                "evaluate": (None, 7, "x", lambda model: None),
                "calibration": ([], 7, "x"),
            },
        ),
        "evaluate_robustness": Door(
            sweeps.evaluate_robustness,
            {
                **{"model": make_model(), "data": dataset, "points": "4/FP"},
                **{"ptq": "minmax", "progress": False},
            },
            {
                "model": (*MODEL, wild(math.nan), wild(3e38)),
                "data": (None, 7, "digits", [], (np.zeros(3), np.zeros(2))),
                "points": ("4-8", "", "magic:4/FP", 7),
                "ptq": CHOICE,
                "placement": CHOICE,
                "metric": ("speed", 7),
                "batch_size": COUNT,
                "calibration": (7, "x", []),
            },
        ),
        "check_devices": Door(
            sweeps.device_profiles,
            {},
            {"given": ("phone", "gone.json", 7, [], ["phone"], None)},
        ),
        "evaluate": Door(
            evaluate,
            {"model": make_model(), "source": dataset.test},
            {"model": MODEL, "source": (None, 7, "x", []), "metrics": (7,)},
        ),
        "Report": Door(
            Report,
            {"runs": ()},
            {
                "runs": ((7,), (Run("a"), Run("a"))),
                "title": (7, None),
                "notes": ((7,),),
            },
        ),
    }


def of_files():
    model = make_model()
    loads = (
        *(settings.StepSizes, settings.Setting, Report, sweeps.DeviceProfile),
    )
    return {
        **{
            f"{kind.__name__}.load": Door(kind.load, {}, {"path": FILE})
            for kind in loads
        },
        "import_npz": Door(
            lambda path: models.import_npz(model, path), {}, {"path": FILE}
        ),
        "load_saved_model": Door(runs.load_saved_model, {}, {"path": FILE}),
        "materialize": Door(
            lambda source: artifact.materialize(source, 8),
            {},
            {"source": (b"", b"kure", "gone.kure", b"PK\x05\x06" + bytes(18))},
        ),
        "to_tflite": Door(
            export.to_tflite,
            {"model": model, "mode": "float"},
            {"model": MODEL, "mode": CHOICE, "container": (3, "8", None)},
        ),
    }
