"""Batch-norm statistics of a model: read, checked, taken from a batch."""

import contextlib

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.settings.batch_norm import BatchNormStatistics


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
        for path, layer in some_batch_norms_of(model).items()
    }


def put_batch_norm(changes, model, statistics):
    """Puts statistics in `changes`; see `set_batch_norm_statistics`."""
    layers = some_batch_norms_of(model)
    unknown = sorted(set(statistics) - set(layers))
    if unknown:
        raise ValueError(
            "Expected statistics of batch-norm layers, of "
            f"{list(layers)}. Received unknown ones: {unknown}."
        )
    for path, found in statistics.items():
        layer = layers[path]
        _check_statistics(path, found, tuple(layer.moving_mean.shape))
        changes.put(layer.moving_mean, found.mean)
        changes.put(layer.moving_variance, found.variance)


@contextlib.contextmanager
def using_batch_statistics(model):
    """While open, batch norm normalizes with the moments of its batch.

    In inference mode, without dropout, and no variable is written: neither a
    moving average nor anything else. The moments are functions of the inputs,
    and gradients go through them as in training.

    Args:
        model: As for `reestimate_batch_norm`.

    Yields:
        `{layer path: [(count, mean, variance), ...]}` with one entry for each
        call of the layer so far.

    Raises:
        TypeError, ValueError: As `reestimate_batch_norm` for `model`.
    """
    found = {}
    with contextlib.ExitStack() as stack:
        for path, layer in some_batch_norms_of(model).items():
            found[path] = []
            call = _measuring_call(layer, found[path].append)
            stack.enter_context(compat.calling(layer, call))
        yield found


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


def some_batch_norms_of(model):
    compat.check_graph_model(model)
    layers = dict(compat.batch_norms_of(model))
    if not layers:
        raise ValueError(
            "Expected a model with batch normalization. Received "
            f"{model.name!r}, which has none: there are no statistics to "
            "estimate again. (Where it was folded into the kernels, as the "
            "'tflite' placement does, none is left.)"
        )
    return layers


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
