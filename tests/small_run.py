"""A model, a data set, a recipe and a plan that take no time."""

import numpy as np

from kure_tf import data
from kure_tf.compat import keras
from kure_tf.sweeps import SweepPlan
from kure_tf.training import Recipe

RECIPE = Recipe(2, learning_rate=0.05, batch_size=16, augment=("shift=1",))


def make_dataset():
    """Returns 32 training and 20 test images of 3 classes."""

    def pair(seed, count):
        rng = np.random.default_rng(seed)
        images = rng.integers(0, 255, (count, 4, 4, 1)).astype(np.uint8)
        return images, np.arange(count) % 3

    return data.from_arrays(
        pair(0, 32), pair(1, 20), num_classes=3, calibration_count=20
    )


def make_model(num_classes=3, input_shape=(4, 4, 1)):
    """Returns a model whose layers are called a, b, c and d."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Conv2D(2, 3, activation="relu", name="a"),
            layers.Conv2D(4, 2, activation="relu", name="b"),
            layers.Flatten(),
            layers.Dense(4, activation="relu", name="c"),
            layers.Dense(num_classes, name="d"),
        ],
        name="tiny",
    )


def make_plan(**changes):
    """Returns a plan of the points FP/FP and 4/FP, by minmax."""
    return SweepPlan(**{"points": ("4/FP",), "ptq": "minmax", **changes})
