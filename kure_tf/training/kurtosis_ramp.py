"""A callback that lets KURE begin gently."""

import tensorflow as tf

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.fake_quantized.host import hosted_tensors
from kure_tf.ops.checks import check_whole
from kure_tf.regularizers import KurtosisRegularizer, SumRegularizer


class KurtosisRamp(keras.callbacks.Callback):
    """Raises the coefficients of KURE from near 0 to their own values.

        coefficient(t) = coefficient min(1, (t + 1) / (epochs n))

    at step t = 0, 1, ... of the training, of n steps in an epoch. The kernels
    of large nets start far from 1.8, where the term, which is squared, is
    larger than the loss.

    Args:
        epochs: Over how many epochs they rise, at least 1.

    Raises:
        TypeError, ValueError: If `epochs` is no such number, or, when training
            starts, the model has no `KurtosisRegularizer` on a kernel, or Keras
            does not know the steps of an epoch.
    """

    def __init__(self, epochs):
        super().__init__()
        self.epochs = check_whole("epochs", epochs, 1)
        self._share = None

    def set_model(self, model):
        super().set_model(model)
        found = list(_kurtosis_regularizers(model))
        if not found:
            raise ValueError(
                "KurtosisRamp needs a model with KURE. Received "
                f"{model.name!r}, without it on any kernel: attach it first, "
                "regularize_kurtosis(model)."
            )
        with model.distribute_strategy.scope():
            self._share = tf.Variable(1.0, trainable=False)
        for regularizer in found:
            regularizer.share = self._share
        # A step that was compiled before knows no share.
        model.make_train_function(force=True)

    def on_epoch_begin(self, epoch, logs=None):
        self._steps = self.params["steps"]
        if self._steps is None:
            raise ValueError(
                "KurtosisRamp needs to know the steps of an epoch. The data "
                "set does not tell how many batches it has: give "
                "steps_per_epoch= to `fit`."
            )
        self._before = epoch * self._steps

    def on_train_batch_begin(self, batch, logs=None):
        steps = self.epochs * self._steps
        self._share.assign(min(1.0, (self._before + batch + 1) / steps))

    def on_train_end(self, logs=None):
        self._share.assign(1.0)  # For who trains or evaluates it afterwards.


def _kurtosis_regularizers(model):
    for _, layer in compat.layers_of(model):
        inner = layer if hosted_tensors(layer) is None else layer.layer
        for kernel in compat.kernels_of(inner):
            if kernel.regularizer:
                yield from _kurtosis_terms(kernel.regularizer_in(inner))


def _kurtosis_terms(regularizer):
    if isinstance(regularizer, KurtosisRegularizer):
        yield regularizer
    if isinstance(regularizer, SumRegularizer):
        for one in regularizer.regularizers:
            yield from _kurtosis_terms(one)
