"""Normalization over the features of each place, in integer operators."""

import numpy as np
import tensorflow as tf

from kure_tf import compat


def layer_normalization(call):
    """Adds LayerNormalization, of the last axis.

        d = x - mean(x)
        y = gamma d / sqrt(mean(d^2) + epsilon) + beta

    What is between has 8 bits, the variance of all places together. Where
    these differ a hundredfold, those of a small one are coarse.
    """
    layer = call.inner
    if getattr(layer, "rms_scaling", False):
        call.refuse("it has rms_scaling. Use RMSNormalization.")
    _check_axis(call)
    (x,) = call.inputs
    mean = _feature_mean(call, "mean", x, 0.0)
    d = call.add("SUB", [x, mean], tf.subtract)
    return _scaled(call, d, layer.gamma, layer.beta)


def rms_normalization(call):
    """Adds RMSNormalization, of the last axis: without a mean."""
    _check_axis(call)
    return _scaled(call, call.inputs[0], call.inner.scale, None)


def _check_axis(call):
    last = len(call.tensors[0].shape) - len(call.times) - 1
    axes = np.ravel(call.inner.axis).tolist()
    if any(axis not in (-1, last) for axis in axes):
        call.refuse(
            f"it is over the axes {axes} of {last + 1}; integers take the last "
            "one. Permute in front of it, or leave it in float: "
            "allow_float=True."
        )


def _scaled(call, d, gamma, beta):
    """Adds gamma d / sqrt(mean(d^2) + epsilon) + beta."""
    square = call.add("MUL", [d, d], tf.multiply)
    variance = _feature_mean(call, "variance", square, call.inner.epsilon)
    factor = call.add("RSQRT", [variance], tf.math.rsqrt)
    y = call.add("MUL", [d, factor], tf.multiply)
    gain, shift = (
        default if one is None else compat.to_numpy(one).astype(np.float64)
        for one, default in ((gamma, 1.0), (beta, 0.0))
    )
    if np.ndim(gain) == np.ndim(shift) == 0:
        return y
    return call.affine(y, gain, shift)


def _feature_mean(call, name, x, shift):
    """Adds the mean over the last axis, plus `shift`."""
    y = call.add(
        "FEATURE_MEAN",
        [x],
        lambda x: tf.reduce_mean(x, -1, keepdims=True) + np.float32(shift),
        shift=shift,
    )
    y.name = f"{call.name}/{name}"
    return y
