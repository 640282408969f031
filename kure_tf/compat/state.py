"""Variables of layers, and computing with something in their place."""

import contextlib
import hashlib

import numpy as np
import tensorflow as tf

from kure_tf.compat.active import keras_module, keras_of


@contextlib.contextmanager
def computing_with(layer, tensors, add_loss):
    """While open, `layer` computes with `tensors` in place of its weights.

    Args:
        layer: A built Keras layer.
        tensors: `{attribute name: tensor}`, each in the dtype and shape of the
            variable of that name.
        add_loss: Called with each loss that the layer adds meanwhile (Keras 3
            drops them otherwise).
    """
    if keras_of(layer) == "keras":
        keras = keras_module(layer)
        mapping = [(getattr(layer, name), t) for name, t in tensors.items()]
        with keras.StatelessScope(mapping, collect_losses=True) as scope:
            yield
        for loss in scope.losses:
            add_loss(loss)
        return
    variables = {name: getattr(layer, name) for name in tensors}
    try:
        for name, tensor in tensors.items():
            # Plain setattr would track the tensor as the layer's weight.
            object.__setattr__(layer, name, as_weight(layer, tensor))
        yield
    finally:
        for name, variable in variables.items():
            object.__setattr__(layer, name, variable)


def as_weight(layer, tensor):
    """Returns `tensor` in the precision that a tf_keras layer computes in."""
    return tf.cast(tensor, layer.compute_dtype)


def add_state(layer, name, shape, value, *, trainable=False, constraint=None):
    """Adds a float32 variable that mixed precision does not cast."""
    keras_3 = keras_of(layer) == "keras"
    autocast = "autocast" if keras_3 else "experimental_autocast"
    variable = layer.add_weight(
        name=name,
        shape=shape,
        initializer=keras_module(layer).initializers.Constant(value),
        dtype="float32",
        trainable=trainable,
        constraint=constraint,
        **{autocast: False},
    )
    if keras_3:  # TensorFlow finds what checkpoints hold by attributes.
        setattr(layer, name, variable)
    return variable


def tf_variable(variable):
    """Returns the `tf.Variable` behind a Keras variable, for tapes to watch."""
    if keras_of(variable) == "keras":
        return variable._value
    return getattr(variable, "_variable", variable)


def full_precision(variable):
    """Returns the variable's tensor, uncast even where layers autocast."""
    return tf.convert_to_tensor(tf_variable(variable))


def to_numpy(variable):
    """Returns the variable's value as a NumPy array.

    Of one that a distribution strategy has spread, that of its first replica.
    """
    return np.array(full_precision(variable))


def array_hash(model) -> str:
    """Returns the SHA-256 of all weights of a model, in their order."""
    digest = hashlib.sha256()
    for value in model.get_weights():
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()
