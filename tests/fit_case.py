"""A small training run, and a test case that interrupts it."""

import pathlib

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import data
from kure_tf.compat import keras
from kure_tf.training import Recipe, fit

RECIPE = Recipe(
    3,
    learning_rate=0.05,
    batch_size=32,
    augment=("flip", "shift=1"),
    weight_decay=1e-3,
)


def make_dataset(count=80, classes=3, validation=True):
    """Images whose brightness is their class, plus noise."""

    def pair(seed):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, classes, count)
        noise = rng.integers(0, 60, (count, 6, 6, 1))
        images = labels[:, None, None, None] * 80 + noise
        return np.minimum(images, 255).astype(np.uint8), labels

    return data.from_arrays(
        pair(0),
        pair(1),
        validation=pair(2) if validation else None,
        num_classes=classes,
    )


def make_model(seed=0, classes=3, **options):
    """Convolution, batch norm, dropout, dense; weights by NumPy."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(4, 3, use_bias=False, **options),
            layers.BatchNormalization(momentum=0.5),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dropout(0.2),
            layers.Dense(classes),
        ]
    )
    rng = np.random.default_rng(seed)
    for layer in (model.layers[0], model.layers[-1]):
        layer.set_weights(
            [rng.normal(0, 0.2, w.shape) for w in layer.get_weights()]
        )
    return model


class Killer(keras.callbacks.Callback):
    """Raises KeyboardInterrupt in the middle of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self._epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        self._here = epoch == self._epoch

    def on_train_batch_end(self, batch, logs=None):
        if self._here and batch == 1:
            raise KeyboardInterrupt


class Events(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.events, self.losses, self.models = [], [], set()

    def on_train_begin(self, logs=None):
        self.events.append("train_begin")

    def on_train_end(self, logs=None):
        self.events.append("train_end")

    def on_epoch_begin(self, epoch, logs=None):
        self.events.append(f"begin {epoch}")

    def on_epoch_end(self, epoch, logs=None):
        self.events.append(f"end {epoch}")
        self.models.add(id(self.model))
        self.losses = self.model.losses
        logs["mine"] = epoch + 0.5


class FitTestCase(tf.test.TestCase, parameterized.TestCase):
    def workdir(self):
        return pathlib.Path(self.get_temp_dir()) / self.id()

    def assertSameWeights(self, first, second):
        pairs = zip(first.get_weights(), second.get_weights(), strict=True)
        for weight, other in pairs:
            self.assertAllEqual(weight, other)

    def interrupt(self, epoch, recipe, dataset, **options):
        with self.assertRaises(KeyboardInterrupt):
            fit(
                make_model(),
                dataset,
                recipe,
                workdir=self.workdir(),
                callbacks=[Killer(epoch)],
                verbose=0,
                **options,
            )
