"""First values of variables that are to get others at once."""

import contextlib

import tensorflow as tf

from kure_tf.compat.active import keras
from kure_tf.compat.state import full_precision


@contextlib.contextmanager
def values_at_hand():
    """Yields `begin_as(layer, original)`, of a layer that is not built yet.

    Its variables will begin with what has their shape among the weights of
    `original`, in the same memory, or else with zeros. Random values would be
    made for nothing, and take twice the memory of what they are for. The layer
    has its own initializers again when the context is left. Attention, which
    hands copies of its initializers on, hands on its own.
    """
    replaced = []

    def begin_as(layer, original):
        for part in layer._flatten_layers():
            for name, own in list(vars(part).items()):
                if _is_public_initializer(name, own):
                    replaced.append((part, name, own))
                    setattr(part, name, _AtHand(own, original.weights))

    try:
        yield begin_as
    finally:
        for part, name, own in replaced:
            setattr(part, name, own)


class _AtHand(keras.initializers.Initializer):
    """Returns a weight of the shape asked for, or zeros.

    What is made from its configuration is the initializer it stands in for.
    """

    def __init__(self, own, weights):
        self._own = own
        self._weights = weights

    def __call__(self, shape, dtype=None, **_):
        for weight in self._weights:
            if tuple(weight.shape) == tuple(shape):
                return tf.cast(full_precision(weight), dtype or weight.dtype)
        return tf.zeros(shape, dtype or tf.float32)

    def get_config(self):
        return {"own": self._own}

    @classmethod
    def from_config(cls, config):
        return config["own"]


def _is_public_initializer(name, value):
    return (
        name.endswith("_initializer")
        and not name.startswith("_")
        and isinstance(value, keras.initializers.Initializer)
    )
