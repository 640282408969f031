"""Variables of layers, and computing with something in their place."""

import contextlib
import functools
import hashlib

import numpy as np
import tensorflow as tf

from kure_tf.compat.active import keras_module, keras_of


@contextlib.contextmanager
def computing_with(layer, tensors, add_loss):
    """While open, `layer` computes with `tensors` in place of its weights.

    Args:
        layer: A built Keras layer.
        tensors: `[(owner, attribute, tensor), ...]`: `owner` is the layer, or
            one inside it, that has a variable as that attribute; each tensor
            has the variable's dtype and shape.
        add_loss: Called with each loss that the layer adds meanwhile (Keras 3
            drops them otherwise).
    """
    if keras_of(layer) == "keras":
        mapping = [(getattr(owner, name), t) for owner, name, t in tensors]
        with _values_instead(keras_module(layer))(
            mapping, collect_losses=True
        ) as scope:
            yield
        for loss in scope.losses:
            add_loss(loss)
        return
    variables = [
        (owner, name, getattr(owner, name)) for owner, name, _ in tensors
    ]
    try:
        for owner, name, tensor in tensors:
            # Plain setattr would track the tensor as the layer's weight.
            object.__setattr__(owner, name, as_weight(owner, tensor))
        yield
    finally:
        for owner, name, variable in variables:
            object.__setattr__(owner, name, variable)


@functools.cache
def _values_instead(keras):
    class ValuesInstead(keras.StatelessScope):
        """Has other values for some variables; writes to the others."""

        def add_update(self, update):
            # Seeds of dropout and the states of recurrent layers move on.
            variable, value = update
            variable._direct_assign(value)

    return ValuesInstead


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
    """Returns the `tf.Variable` behind a Keras variable, for tapes to watch.

    Of one that a distribution strategy has spread, that of its first replica,
    which is what is read outside of replicas.
    """
    variable = _behind(variable)
    if isinstance(variable, tf.distribute.DistributedValues):
        return variable.values[0]
    return variable


def _behind(variable):
    if keras_of(variable) == "keras":
        return variable._value
    return getattr(variable, "_variable", variable)


def handle_of(variable):
    """Returns the resource that a variable is read from.

    None for what is no variable, for one that a `keras.StatelessScope` gives
    another value, and for one that a distribution strategy has spread: those
    are read as tensors.
    """
    if keras_of(variable) == "keras":
        variable = variable.value
    spread = isinstance(variable, tf.distribute.DistributedValues)
    if spread or not isinstance(variable, tf.Variable):
        return None
    graph = tf.compat.v1.get_default_graph()
    if hasattr(graph, "watch_variable"):  # As reading does: to freeze a
        graph.watch_variable(variable)  # function is to look its variables up.
    return variable.handle


def full_precision(variable):
    """Returns the variable's tensor, uncast even where layers autocast."""
    return tf.convert_to_tensor(_behind(variable))


def to_numpy(variable):
    """Returns the variable's value as a NumPy array that cannot be written.

    On a CPU it is no copy: the array and the variable share their memory
    until the variable gets another value. Of one that a distribution strategy
    has spread, it is that of its first replica.
    """
    value = np.asarray(full_precision(variable))
    value.flags.writeable = False
    return value


def copy_weights(source, target):
    """Gives the layer or model `target` the weights of `source`.

    On a CPU both share the memory until one of them gets other values.

    Raises:
        ValueError: If they have not as many weights, of the same shapes.
    """
    before, after = source.weights, target.weights
    if not _all_variables(before) or _shapes(before) != _shapes(after):
        # Keras says what differs, or (tf_keras) fills a table.
        target.set_weights(source.get_weights())
        return
    for old, new in zip(before, after, strict=True):
        new.assign(tf.cast(full_precision(old), new.dtype))


def _all_variables(weights):
    return all(hasattr(weight, "assign") for weight in weights)


def _shapes(weights):
    return [tuple(weight.shape) for weight in weights]


def array_hash(model) -> str:
    """Returns the SHA-256 of all weights of a model, in their order."""
    digest = hashlib.sha256()
    values = map(to_numpy, model.weights)
    if not _all_variables(model.weights):
        values = model.get_weights()
    for value in values:
        digest.update(np.ascontiguousarray(value))
    return digest.hexdigest()
