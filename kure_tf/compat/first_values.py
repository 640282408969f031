"""First values of variables that are to get others at once."""

import contextlib

import tensorflow as tf

from kure_tf.compat.active import keras
from kure_tf.compat.state import full_precision


@contextlib.contextmanager
def values_at_hand():
    """Yields `begin_as(layer, original)`, of a layer that is not built yet.

    Variables that it makes by one of its initializers, such as
    `kernel_initializer`, will begin with what has their shape among the weights
    of `original`, in the same memory, or else with zeros. Random values would
    be made for nothing, and take twice the memory of what they are for. When
    the context is left, the layer makes variables as before.
    """
    changed = []

    def begin_as(layer, original):
        for part in layer._flatten_layers():
            adding = _adding_at_hand(part, original.weights)
            # Plain setattr is for what a layer tracks; a method is not.
            object.__setattr__(part, "add_weight", adding)
            changed.append(part)

    try:
        yield begin_as
    finally:
        for part in changed:
            vars(part).pop("add_weight", None)


def _adding_at_hand(layer, weights):
    """Returns the method `add_weight` of a layer, with other first values."""
    own = layer.add_weight

    def add_weight(*args, **kwargs):
        if any(kwargs.get("initializer") is one for one in _own_to(layer)):
            kwargs["initializer"] = _AtHand(weights)
        return own(*args, **kwargs)

    return add_weight


def _own_to(layer):
    """Yields the initializers that are attributes of a layer."""
    for name, value in vars(layer).items():
        if name.endswith("_initializer") and not name.startswith("_"):
            if isinstance(value, keras.initializers.Initializer):
                yield value


class _AtHand(keras.initializers.Initializer):
    """Returns a weight of the shape asked for, or zeros."""

    def __init__(self, weights):
        self._weights = weights

    def __call__(self, shape, dtype=None, **_):
        for weight in self._weights:
            if tuple(weight.shape) == tuple(shape):
                return tf.cast(full_precision(weight), dtype or weight.dtype)
        return tf.zeros(shape, dtype or tf.float32)
