"""Batch-norm statistics, measured again on the network as it stands.

Quantized weights give other activations than those that batch normalization
saw in training. A few unlabelled training images tell it the new mean and
variance; that costs nothing where the network runs.
"""

import contextlib
import dataclasses
import weakref

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.fake_quantized.image_batches import images_of


@dataclasses.dataclass(frozen=True, eq=False)  # It holds arrays.
class BatchNormStatistics:
    """What one batch-norm layer normalizes with in inference.

    Attributes:
        mean: Array of the shape of the layer's `moving_mean`.
        variance: Likewise for its `moving_variance`; not negative.
    """

    mean: np.ndarray
    variance: np.ndarray


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
        batches: Batches of images, or of (images, labels), from training
            data, augmented as in training: the network expects statistics that
            include it (`split.training_batches(..., augment=...)`). Labels are
            not used.
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
        >>> with keeping_batch_norm(model):
        ...     reestimate_batch_norm(model, dataset.calibration.batches(512))
        ...     model.evaluate(test)
    """
    _some_batch_norms_of(model)
    measure = _measuring_function(model)
    pooled, images = {}, 0
    for batch in images_of(
        model, batches, "images for batch norm", progress=progress
    ):
        for path, calls in measure(tf.cast(batch, tf.float32)).items():
            for moments in calls:
                _check_moments(path, *moments)
                pooled.setdefault(path, _Pooled()).add(*moments)
        images += int(batch.shape[0])
    set_batch_norm_statistics(
        model, {path: found.statistics() for path, found in pooled.items()}
    )
    return images


def batch_norm_statistics(model) -> dict:
    """Returns `{layer path: BatchNormStatistics}`, as they are now.

    Raises:
        TypeError, ValueError: As `reestimate_batch_norm` for `model`.
    """
    return {
        path: BatchNormStatistics(
            compat.to_numpy(layer.moving_mean),
            compat.to_numpy(layer.moving_variance),
        )
        for path, layer in _some_batch_norms_of(model).items()
    }


def set_batch_norm_statistics(model, statistics):
    """Writes batch-norm statistics into a model, in place.

    Args:
        model: A model with batch normalization.
        statistics: `{layer path: BatchNormStatistics}`, as
            `batch_norm_statistics` returns it. Layers that it does not name
            keep theirs.

    Raises:
        TypeError: As `reestimate_batch_norm` for `model`.
        ValueError: If a name is not a batch-norm layer of the model, or an
            array has the wrong shape or is not finite. Nothing is written
            then.
    """
    layers = _some_batch_norms_of(model)
    unknown = sorted(set(statistics) - set(layers))
    if unknown:
        raise ValueError(
            "Expected statistics of batch-norm layers, of "
            f"{list(layers)}. Received unknown ones: {unknown}."
        )
    for path, found in statistics.items():
        _check_statistics(path, found, tuple(layers[path].moving_mean.shape))
    for path, found in statistics.items():
        layers[path].moving_mean.assign(found.mean)
        layers[path].moving_variance.assign(found.variance)


@contextlib.contextmanager
def keeping_batch_norm(model):
    """Puts the batch-norm statistics of `model` back when it closes.

    Whatever the block did to them, and however it ended.

    Raises:
        TypeError, ValueError: As `reestimate_batch_norm` for `model`.
    """
    before = batch_norm_statistics(model)
    try:
        yield
    finally:
        set_batch_norm_statistics(model, before)


@contextlib.contextmanager
def normalizing_by_batch(model):
    """While open, batch norm normalizes with the statistics of each batch.

    In inference mode, and without a trace in the moving statistics. A model
    without batch normalization is left alone.
    """
    with contextlib.ExitStack() as stack:
        for _, layer in compat.batch_norms_of(model):
            call = _measuring_call(layer, lambda moments: None)
            stack.enter_context(compat.calling(layer, call))
        yield


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
        shape = (None, *model.inputs[0].shape[1:])
        _FUNCTIONS[model] = tf.function(
            _measure_of(weakref.ref(model)),
            input_signature=[tf.TensorSpec(shape, tf.float32)],
            autograph=False,
        )
    return _FUNCTIONS[model]


def _measure_of(reference):
    def measure(images):
        model = reference()
        found = {}
        with contextlib.ExitStack() as stack:
            for path, layer in compat.batch_norms_of(model):
                found[path] = []
                call = _measuring_call(layer, found[path].append)
                stack.enter_context(compat.calling(layer, call))
            model(images, training=False)
        return found

    return measure


def _measuring_call(layer, keep):
    """Returns a call that normalizes with its batch's moments, kept too."""

    def call(inputs, training=None, mask=None):
        del training  # Batch statistics in either mode.
        # Sums over a batch need more than half precision.
        x = inputs if inputs.dtype.size >= 4 else tf.cast(inputs, tf.float32)
        rank = x.shape.rank
        own_axes = {axis % rank for axis in np.ravel(layer.axis).tolist()}
        axes = [axis for axis in range(rank) if axis not in own_axes]
        count, mean, variance = _moments(x, axes, mask)
        shape = layer.moving_mean.shape
        keep((count, tf.reshape(mean, shape), tf.reshape(variance, shape)))
        outputs = tf.nn.batch_normalization(
            x,
            mean,
            variance,
            _broadcast(layer.beta, x, mean),
            _broadcast(layer.gamma, x, mean),
            layer.epsilon,
        )
        return tf.cast(outputs, layer.compute_dtype)

    return call


def _moments(x, axes, mask):
    """Returns the number of values per channel, their mean and variance."""
    if mask is not None and len(mask.shape) == x.shape.rank - 1:
        weights = tf.cast(mask, x.dtype)[..., tf.newaxis]
        mean, variance = tf.nn.weighted_moments(x, axes, weights, keepdims=True)
        return tf.reduce_sum(weights), mean, variance
    mean, variance = tf.nn.moments(x, axes, keepdims=True)
    values = tf.size(x, tf.int64) / tf.size(mean, tf.int64)
    return values, mean, variance


def _broadcast(variable, x, mean):
    """Returns gamma or beta in the shape of the moments, None for None."""
    if variable is None:
        return None
    tensor = compat.full_precision(variable)
    return tf.cast(tf.reshape(tensor, mean.shape), x.dtype)


def _some_batch_norms_of(model):
    compat.check_graph_model(model)
    layers = dict(compat.batch_norms_of(model))
    if not layers:
        raise ValueError(
            "Expected a model with batch normalization. Received "
            f"{model.name!r}, which has none: there are no statistics to "
            "estimate again. (Where it was folded into the kernels, as the "
            "'tflite' scheme does, none is left.)"
        )
    return layers


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
            "infinity on these images: look at the images and at the weights "
            "of the layers before it."
        )


def _check_statistics(path, found, shape):
    for name, lowest in (("mean", -np.inf), ("variance", 0.0)):
        value = np.asarray(getattr(found, name))
        if value.shape != shape:
            raise ValueError(
                f"Expected the {name} of {path!r} to have the shape {shape}. "
                f"Received: {value.shape}."
            )
        if not (np.isfinite(value).all() and (value >= lowest).all()):
            raise ValueError(
                f"Expected the {name} of {path!r} to be finite"
                + (" and not negative" if name == "variance" else "")
                + f". Received values from {value.min()} to {value.max()}."
            )
