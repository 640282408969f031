"""Batch statistics that can be differentiated twice."""

import tensorflow as tf

from kure_tf.compat.active import IS_KERAS_3

_METHOD = "_moments" if IS_KERAS_3 else "_no_sync_calculate_mean_and_var"


def make_twice_differentiable(layer):
    """Mends the second derivatives of a BatchNormalization layer, in place.

    `tf.nn.moments` computes Var' = E[(x - c)^2] with c the mean as a constant.
    Its value and first derivatives are those of the variance, its second ones
    lack those of (E[x] - c)^2, as

        Var = Var' - (E[x] - c)^2.

    This puts them back; nothing else about the layer changes. The fused kernel
    that tf_keras uses for images has second derivatives of its own, and
    synchronized statistics are computed without that shortcut.
    """
    if _METHOD in vars(layer) or getattr(layer, "synchronized", False):
        return
    moments = getattr(layer, _METHOD)

    def exact_moments(*args, **kwargs):
        mean, variance = moments(*args, **kwargs)
        mask = kwargs.get("mask", args[1] if IS_KERAS_3 else None)
        if mask is not None:  # Weighted moments take no shortcut.
            return mean, variance
        return mean, variance - tf.square(mean - tf.stop_gradient(mean))

    # Past the tracking of Keras: a plain function in the method's place.
    vars(layer)[_METHOD] = exact_moments
