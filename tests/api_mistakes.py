"""Wrong arguments for public functions, and the right ones beside them."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from small_run import RECIPE, make_dataset, make_model, make_plan

from kure_tf import (
    artifact,
    data,
    export,
    fake_quantize_model,
    models,
    ops,
    ptq,
    qat,
    regularizers,
    runs,
    settings,
    sweeps,
    training,
)
from kure_tf.compat import keras
from kure_tf.evaluation import evaluate
from kure_tf.fake_quantized import (
    apply,
    equalize,
    fold_batch_norm,
    paper_placement,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.measurements import Report, Run

# Values that no argument of the kind takes.
COUNT = (0, -1, 1.5, "3", None, True, math.nan)
WHOLE = (-1, 1.5, "3", None, math.nan)
SEED = (-1, 2**32, 1.5, "0", None)
POSITIVE = (0, -1, math.nan, math.inf, "1", None)
NOT_NEGATIVE = (-1, math.nan, math.inf, "1", None)
SHARE = (-0.1, 1.5, math.nan, "1", None)
BITS = (0, 17, -1, 2.5, "x", math.nan)
CHOICE = ("magic", 7, "")
POINT = ("4-8", "", "17/8", "0/8", "4/4 x1e30", "4/4 x0", "4/4 xnan", 7, None)
MODEL = (None, 7, "small_cnn", object())
STEPS = (None, {}, 0.1, "steps")
FILE = ("gone.file", "a\0b")
LAYERS = ("gone", ("gone",), 7)


@dataclasses.dataclass(frozen=True)
class Door:
    """A public function with good arguments, and wrong ones for some of them.

    Attributes:
        call: The function.
        good: All arguments that it needs, by name; none where it needs a file.
        wrong: `{name: wrong values}`.
    """

    call: Callable
    good: dict
    wrong: dict


def doors(folder):
    """Returns `{name: Door}`."""
    return {
        **_values(),
        **_of_models(),
        **_of_calibration(),
        **_of_data(folder),
        **_of_training(folder),
        **_of_sweeps(),
        **_of_files(),
    }


def _values():
    kurtosis = {"target": 1.8, "coefficient": 1.0}
    return {
        "OperatingPoint": Door(
            settings.OperatingPoint,
            {"weight_bits": 4, "activation_bits": 8},
            {
                "weight_bits": BITS,
                "activation_bits": BITS,
                "step_scale": POSITIVE,
                "activation_step_scale": POSITIVE,
                "step_rounding": CHOICE,
                "rounding_mode": (*CHOICE, f"stochastic:{2**31}"),
                "grid": CHOICE,
            },
        ),
        "parse": Door(
            settings.OperatingPoint.parse, {"text": "4/8"}, {"text": POINT}
        ),
        "points": Door(
            settings.points,
            {"pattern": "{8..2}/FP"},
            {"pattern": ("{8..}/FP", "{}/FP", "{4,3/FP", "4/FP x1e30", 7)},
        ),
        "TensorStep": Door(
            settings.TensorStep,
            {"step_size": 0.1, "bits": 4},
            {
                "step_size": (0, -1, math.nan, math.inf, [], "x", 1e-60),
                "bits": BITS,
                "origin": (math.nan, math.inf),
            },
        ),
        "Setting": Door(
            settings.Setting,
            {"point": "4/8"},
            {
                "point": POINT,
                "step_sizes": ({}, 7, "x"),
                "batch_norm": ({"a": 1}, 7),
                "layer": (7,),
                "others": ("4-8", "4/8"),
            },
        ),
        "KurtosisRegularizer": Door(
            regularizers.KurtosisRegularizer,
            kurtosis,
            {
                "target": (math.nan, math.inf, "x", None),
                "coefficient": NOT_NEGATIVE,
                "granularity": CHOICE,
            },
        ),
        "kurtosis": Door(
            ops.kurtosis,
            {"x": np.arange(4.0)},
            {"x": (np.arange(4), ["a"])},
        ),
        "DeviceProfile": Door(
            lambda **changes: dataclasses.replace(
                sweeps.builtin_profiles()[0], **changes
            ),
            {},
            {"point": POINT, "weight_grid": CHOICE, "name": ("", 7)},
        ),
        "Recipe": Door(
            training.Recipe,
            {"epochs": 2, "learning_rate": 0.1},
            {
                "epochs": COUNT,
                "learning_rate": POSITIVE,
                "batch_size": COUNT,
                "seed": SEED,
                "momentum": (1, -0.1, math.nan, "x", None),
                "optimizer": CHOICE,
                "augment": (("shift=900x",), ("spin",), 7),
                "frozen_batch_norm_epochs": (-1, 3, 1.5, None),
                "weight_decay": NOT_NEGATIVE,
                "train_images": (0, -1, 1.5, "3"),
            },
        ),
        "NestedSearch": Door(
            runs.NestedSearch,
            {},
            {
                "bits": ((), (9,), (4, 3), ("8",), 8),
                "activation_bits": ((), (0,), ("8",)),
                "reading": CHOICE,
                "images": (*COUNT, 1),
                "seed": SEED,
                "augment": (("spin",),),
            },
        ),
    }


def _of_models():
    model = fake_quantize_model(make_model())
    return {
        "fake_quantize_model": Door(
            fake_quantize_model,
            {"model": make_model()},
            {
                "model": (*MODEL, keras.Sequential(), _wild(math.nan)),
                "placement": CHOICE,
            },
        ),
        "paper_placement": Door(
            paper_placement, {}, {"first_layer": BITS, "last_layer": BITS}
        ),
        "set_operating_point": Door(
            set_operating_point,
            {"model": model, "point": "4/FP"},
            {
                "model": (*MODEL, make_model()),
                "point": POINT,
                "only": ("gone", ("gone",)),
            },
        ),
        "set_step_sizes": Door(
            set_step_sizes,
            {"model": model, "step_sizes": _steps()},
            {
                "model": (*MODEL, make_model()),
                "step_sizes": (*STEPS, _steps("gone")),
            },
        ),
        "apply": Door(
            apply,
            {"model": model, "setting": settings.Setting("4/FP")},
            {"model": (*MODEL, make_model()), "setting": (None, "x", 7)},
        ),
        "regularize_kurtosis": Door(
            regularizers.regularize_kurtosis,
            {"model": make_model(), "verbose": False},
            {"model": MODEL, "layers": LAYERS, "coefficient": NOT_NEGATIVE},
        ),
        "fold_batch_norm": Door(
            fold_batch_norm, {"model": make_model()}, {"model": MODEL}
        ),
        "equalize": Door(
            equalize, {"model": make_model()}, {"model": MODEL, "relu6": CHOICE}
        ),
        "quantize_aware": Door(
            qat.quantize_aware,
            {
                "model": make_model(),
                "calibration": make_dataset().calibration,
                "engine": "native",
                "verbose": False,
            },
            {
                "model": MODEL,
                "method": CHOICE,
                "weight_bits": BITS,
                "activation_bits": BITS,
                "engine": CHOICE,
            },
        ),
    }


def _of_calibration():
    model = fake_quantize_model(make_model())
    images = np.zeros((8, 4, 4, 1), np.float32) + np.arange(4.0).reshape(4, 1)
    labelled = [(images, np.arange(8) % 3)]
    calibration = ptq.calibrate(model, labelled, progress=False)
    at_a_point = {"calibration": calibration, "point": "4/8"}
    wrong = {"calibration": (None, 7, "x", model), "point": POINT}
    return {
        "calibrate": Door(
            ptq.calibrate,
            {"model": model, "batches": [images], "progress": False},
            {
                "model": (*MODEL, make_model()),
                "batches": (
                    *([], 7, "x", [images[:0]], [images * math.nan]),
                    *([images.astype(str)], [images[..., 0, 0]]),
                    [(images, np.arange(3))],
                ),
            },
        ),
        "minmax": Door(ptq.minmax, at_a_point, wrong),
        "lp_norm": Door(
            ptq.lp_norm, at_a_point, {"p": (0, -1, math.nan, "2"), **wrong}
        ),
        "aciq": Door(ptq.aciq, at_a_point, {"distribution": CHOICE}),
        "lapq": Door(
            ptq.lapq,
            {**at_a_point, "progress": False},
            {"norms": ((), (0,), ("x",)), "maxiter": (-1, 1.5, "x"), **wrong},
        ),
        "adaround": Door(
            ptq.adaround,
            {
                **at_a_point,
                "step_sizes": ptq.minmax(calibration, "4/8"),
                **{"updates": 1, "progress": False},
            },
            {"step_sizes": STEPS, "updates": (-1, 1.5, "x")},
        ),
        "nested_rounding": Door(
            ptq.nested_rounding,
            {
                "calibration": calibration,
                "bits": (8, 4),
                **{"updates": 1, "rounds": 1, "progress": False},
                "reestimated_batch_norm": False,
            },
            {
                "calibration": (None, 7),
                "bits": ((), (9,), (4, 3), ("8",), 8),
                "activation_bits": BITS,
                "reading": CHOICE,
                "updates": WHOLE,
                "rounds": WHOLE,
            },
        ),
    }


def _of_data(folder):
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


def _of_training(folder):
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
                    *(_wild(math.nan), _wild(math.inf), _wild(3e38)),
                ),
                "dataset": (None, 7, "digits", []),
                "recipe": (None, 7, {}),
                "workdir": (a_file, a_file / "below", "a\0b", "x" * 300),
            },
        ),
        "run_folder": Door(
            _entered,
            {"path": folder / "work", "tool": "t", "flags": {"a": "b"}},
            {
                "path": (a_file, a_file / "below", "a\0b", "x" * 300),
                "flags": ({"a": "b "}, {"a": "b\x07"}),
            },
        ),
    }


def _of_sweeps():
    quantized = fake_quantize_model(make_model())
    dataset = make_dataset()
    return {
        "SweepPlan": Door(
            make_plan,
            {},
            {
                "points": (("4-8",), ("magic:4/FP",), 7, "4/FP"),
                "ptq": CHOICE,
                "scheme": CHOICE,
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
                "model": (*MODEL, _wild(math.nan), _wild(3e38)),
                "data": (None, 7, "digits", [], (np.zeros(3), np.zeros(2))),
                "points": ("4-8", "", "magic:4/FP", 7),
                "ptq": CHOICE,
                "scheme": CHOICE,
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


def _of_files():
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


def _wild(value):
    """Returns a model with a kernel of one value."""
    model = make_model()
    kernel = model.layers[1].kernel
    kernel.assign(tf.fill(kernel.shape, np.float32(value)))
    return model


def _steps(path="b/kernel"):
    return settings.StepSizes({path: settings.TensorStep(0.1, 4)})


def _entered(**arguments):
    with runs.run_folder(**arguments):
        pass
