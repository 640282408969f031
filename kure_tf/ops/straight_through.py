"""Gradients that are not the derivative: straight through, and scaled."""

import tensorflow as tf


@tf.custom_gradient
def straight_through(x, y):
    """Returns `y`, with the gradient of `x`.

        value: y        gradient: dy/dx = 1, nothing to `y` itself

    (`x + stop_gradient(y - x)` has that gradient too, but its value is off by
    rounding, so that codes would no longer lie on their grid.)

    Args:
        x: Tensor that the gradient goes to.
        y: Tensor of the shape and dtype of `x`.
    """
    return tf.identity(y), lambda upstream: (upstream, None)


@tf.custom_gradient
def scale_gradient(x, scale):
    """Returns `x`, with its gradient multiplied by `scale`.

    Args:
        x: Tensor.
        scale: Factor, a scalar or of the shape of `x`; it gets no gradient.
    """
    return tf.identity(x), lambda upstream: (upstream * scale, None)
