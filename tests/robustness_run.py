"""A small model, its data and a plan, for tests of `measure_robustness`."""

import numpy as np

from kure_tf import data
from kure_tf.compat import keras
from kure_tf.sweeps import SweepPlan, measure_robustness

PLAN = SweepPlan(
    (
        *("minmax: {4,2}/FP", "{4,2}/FP", "3"),
        *("4/FP x{0.9,1.1}", "4/FP {pow2,pow2-up}"),
    )
)


def small_dataset(seed=0):
    def pair(seed, count=30):
        rng = np.random.default_rng(seed)
        images = rng.integers(0, 255, (count, 4, 4, 1)).astype(np.uint8)
        return images, rng.integers(3, size=count)

    return data.from_arrays(
        pair(seed), pair(seed + 1), num_classes=3, calibration_count=20
    )


def small_model(seed=0, batch_norm=False):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.Conv2D(2, 3, activation="relu", name="a"),
            *([layers.BatchNormalization(name="bn")] if batch_norm else []),
            layers.Conv2D(2, 2, activation="relu", name="b"),
            layers.Flatten(),
            layers.Dense(3, name="c"),
        ],
        name="tiny",
    )
    rng = np.random.default_rng(seed)
    model.set_weights(
        [
            _not_negative_if(w.ndim == 1, rng.normal(0, 0.4, w.shape))
            for w in model.get_weights()
        ]
    )
    return model


def _not_negative_if(vector, value):
    return np.abs(value) if vector else value  # It may be a variance.


def measure(model, folder=None, dataset=None, plan=PLAN, **options):
    report = measure_robustness(
        model,
        dataset or small_dataset(),
        plan,
        name="tiny",
        folder=folder,
        progress=False,
        **options,
    )
    (run,) = report.runs
    return run
