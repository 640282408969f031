"""Wrong arguments for public functions, and the right ones beside them."""

import dataclasses
import math

import numpy as np
from run_mistakes import of_data, of_files, of_sweeps, of_training
from small_run import make_dataset, make_model
from wrong_arguments import (
    BITS,
    CHOICE,
    COUNT,
    LAYERS,
    MODEL,
    NOT_NEGATIVE,
    POINT,
    POSITIVE,
    SEED,
    STEPS,
    WHOLE,
    Door,
    steps,
    wild,
)

from kure_tf import (
    fake_quantize_model,
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
from kure_tf.fake_quantized import (
    apply,
    equalize,
    fold_batch_norm,
    paper_placement,
    set_operating_point,
    set_step_sizes,
    unwrap_spectral_normalization,
)


def doors(folder):
    """Returns `{name: Door}`."""
    return {
        **_values(),
        **_of_models(),
        **_of_calibration(),
        **of_data(folder),
        **of_training(folder),
        **of_sweeps(),
        **of_files(),
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
                "model": (*MODEL, keras.Sequential(), wild(math.nan)),
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
            {"model": model, "step_sizes": steps()},
            {
                "model": (*MODEL, make_model()),
                "step_sizes": (*STEPS, steps("gone")),
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
        "unwrap_spectral_normalization": Door(
            unwrap_spectral_normalization,
            {"model": make_model()},
            {"model": MODEL},
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
