"""Batch-norm statistics, measured again on the network as it stands.

Quantized weights give other activations than those that batch normalization
saw in training. A few unlabelled training images tell it the new mean and
variance; that costs nothing where the network runs.
"""

import weakref

import numpy as np
import tensorflow as tf

from kure_tf.data.batches import batches_of
from kure_tf.data.ports import input_signature
from kure_tf.fake_quantized import (
    set_batch_norm_statistics,
    using_batch_statistics,
)
from kure_tf.fake_quantized.batch_norm import some_batch_norms_of
from kure_tf.settings import BatchNormStatistics


def reestimate_batch_norm(model, batches, *, progress=False) -> int:
    """Sets all batch-norm statistics to those of `batches`, in place.

    Per channel, over all images and places:

        mean     = E[x]
        variance = E[x^2] - E[x]^2          biased: divided by n, not n - 1

    Each batch goes through the network as it stands (a fake-quantized one at
    its operating point) in inference mode, without dropout, while every
    batch-norm layer, frozen ones too, normalizes with the statistics of that
    batch. The moments of all batches are then pooled in float64, weighted by
    their number of values: no moving average, no trace of the statistics from
    before. With one batch they are exactly that batch's. The variance is the
    biased one, which batch normalization divides by in training, in both
    Kerases; the moving average of tf_keras's fused layer, n / (n - 1) times
    it, is not followed.

    Only `moving_mean` and `moving_variance` are written. One compiled function
    per model serves all operating points. Results are best with batches of
    some hundred images each and of equal size.

    Args:
        model: A built functional or sequential model with batch
            normalization, plain or fake-quantized; nested models and layers
            made of layers are opened.
        batches: Batches of training images (what `batches_of` takes),
            augmented as in training: the network expects statistics that
            include it (`split.training_batches(..., augment=...)`). Labels and
            sample weights are not used.
        progress: Whether to show a progress bar.

    Returns:
        The number of images.

    Raises:
        TypeError: If `model` is subclassed or of the other Keras.
        ValueError: If `model` is unbuilt or has no batch normalization, there
            are no images, their shape is wrong, a batch has one value per
            channel, or a statistic is not finite. Nothing is written then.

    Example:
        >>> set_operating_point(model, "3/FP")
        >>> with keeping(model):
        ...     reestimate_batch_norm(model, dataset.calibration.batches(512))
        ...     model.evaluate(test)
    """
    some_batch_norms_of(model)
    measure = _measuring_function(model)
    pooled, images = {}, 0
    for batch in batches_of(
        batches, model, "images for batch norm", progress=progress
    ):
        for path, calls in measure(batch.inputs).items():
            for moments in calls:
                _check_moments(path, *moments)
                pooled.setdefault(path, _Pooled()).add(*moments)
        images += batch.count
    set_batch_norm_statistics(
        model, {path: found.statistics() for path, found in pooled.items()}
    )
    return images


class _Pooled:
    """Count, mean and variance of all values so far, in float64."""

    def __init__(self):
        self._count, self._mean, self._variance = 0.0, 0.0, 0.0

    def add(self, count, mean, variance):
        count = float(count)
        share = count / (self._count + count)
        # E[x^2] - E[x]^2 of both together, written without its cancellation.
        apart = np.asarray(mean, np.float64) - self._mean
        self._variance = (
            (1 - share) * self._variance
            + share * np.asarray(variance, np.float64)
            + share * (1 - share) * apart**2
        )
        self._mean = self._mean + share * apart
        self._count += count

    def statistics(self):
        return BatchNormStatistics(self._mean, self._variance)


# Neither side keeps a model alive: a function refers to its model weakly.
_FUNCTIONS = weakref.WeakKeyDictionary()


def _measuring_function(model):
    """Returns the compiled function of `model`: images to moments by path."""
    if model not in _FUNCTIONS:
        _FUNCTIONS[model] = tf.function(
            _measure_of(weakref.ref(model)),
            input_signature=[input_signature(model)],
            autograph=False,
        )
    return _FUNCTIONS[model]


def _measure_of(reference):
    def measure(inputs):
        model = reference()
        with using_batch_statistics(model) as found:
            model(inputs, training=False)
        return found

    return measure


def _check_moments(path, count, mean, variance):
    if count < 2:
        raise ValueError(
            "Expected at least two values per channel in each batch: one alone "
            f"has no variance. {path!r} received {float(count):g}. Use larger "
            "batches of equal size."
        )
    if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
        raise ValueError(
            f"Expected finite batch-norm statistics. {path!r} has NaN or "
            "infinity on these examples: look at them and at the weights "
            "of the layers before it."
        )
