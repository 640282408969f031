"""Callbacks of a run that is made of one Keras `fit` for each epoch."""

import pathlib

import numpy as np

from kure_tf.compat import keras
from kure_tf.training.epoch_bar import EpochBar


class RunCallbacks(keras.callbacks.CallbackList):
    """Callbacks of a run that calls Keras' `fit` once per epoch.

    Each of these calls would begin and end training. Callbacks see that once.
    """

    epoch_logs = None
    bar = None

    def on_train_begin(self, logs=None):
        """Does nothing: see `begin`."""

    def on_train_end(self, logs=None):
        """Does nothing: see `end`."""

    def on_epoch_end(self, epoch, logs=None):
        logs = dict(logs or {})
        super().on_epoch_end(epoch, logs)
        # What the last callback saw: Keras may have made a copy of `logs`.
        self.epoch_logs = self.record.logs

    def begin(self):
        super().on_train_begin()

    def end(self, logs):
        super().on_train_end(dict(logs))

    def close(self):
        if self.bar is not None:
            self.bar.close()


class _Record(keras.callbacks.Callback):
    """Keeps the logs of an epoch, with what other callbacks have added."""

    def on_epoch_end(self, epoch, logs=None):
        self.logs = {
            name: float(value)
            for name, value in (logs or {}).items()
            if np.ndim(value) == 0 and not isinstance(value, str)
        }


def run_callbacks(run, callbacks, workdir, tensorboard, verbose):
    """Returns the `RunCallbacks` of a run: the caller's, and our own."""
    callbacks = list(callbacks)
    bar = EpochBar(run.recipe.epochs, run.steps) if verbose else None
    if bar is not None:
        callbacks.append(bar)
    if tensorboard:
        callbacks.append(
            keras.callbacks.TensorBoard(
                str(pathlib.Path(workdir) / "logs"), write_graph=False
            )
        )
    record = _Record()
    made = RunCallbacks(
        [*callbacks, record],
        add_history=True,
        model=run.working,
        epochs=run.recipe.epochs,
        steps=run.steps,
        verbose=verbose,
    )
    made.record, made.bar = record, bar
    return made
