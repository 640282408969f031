"""Copies of layers in a new graph, and names for what is new there."""

import tensorflow as tf

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.export.fake_quant.operators import refuse


class Copies:
    """Calls copies of layers: one copy of each, with its weights."""

    def __init__(self):
        self._made = {}

    def call(self, layer, name, args, kwargs):
        """Returns what the copy of `layer`, under a name, makes of arguments.

        Raises:
            ValueError: If it makes more than one tensor.
        """
        if not isinstance(layer, keras.layers.Layer):  # A Keras 3 operation.
            return type(layer).from_config(layer.get_config())(*args, **kwargs)
        fresh = id(layer) not in self._made
        if fresh:
            self._made[id(layer)] = compat.copy_layer(layer, {"name": name})
        copy = self._made[id(layer)]
        outputs = copy(*args, **kwargs)
        if len(tf.nest.flatten(outputs)) != 1:
            refuse(layer, "it has several outputs.")
        if fresh and layer.weights:
            copy.set_weights(layer.get_weights())
        return outputs


class Names:
    """Gives out names, none of them twice."""

    def __init__(self, taken=()):
        self._taken = set(taken)

    def free(self, name) -> str:
        """Returns `name`, with underscores behind it if it is taken."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


def new_input(tensor):
    """Returns the symbolic tensor of a new input like that of `tensor`."""
    return keras.Input(
        tensor.shape[1:],
        batch_size=tensor.shape[0],
        dtype=tensor.dtype,
        name=port_name(tensor),
    )


def port_name(tensor) -> str:
    """Returns the name of an input, given as its symbolic tensor."""
    return tensor.name.partition(":")[0]
