"""Which of the two Kerases is active.

The active Keras is the module that `tf.keras` resolves to. It is asked once,
when this module is first imported, and never read from the environment:
importing tensorflow-model-optimization changes `TF_USE_LEGACY_KERAS` behind
everybody's back while `tf.keras` stays what it was.
"""

import importlib

import tensorflow as tf

IS_KERAS_3 = not tf.keras.Model.__module__.startswith("tf_keras")

if IS_KERAS_3:
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ImportError(
            "kure_tf needs Keras with the TensorFlow backend. Received the "
            f"backend {keras.backend.backend()!r}. Set the environment "
            "variable KERAS_BACKEND=tensorflow before Keras is imported."
        )
else:
    import tf_keras as keras

KERAS_NAME = "keras" if IS_KERAS_3 else "tf_keras"
KERAS_VERSION = keras.__version__

register_serializable = (
    keras.saving.register_keras_serializable
    if IS_KERAS_3
    else keras.utils.register_keras_serializable
)


def keras_of(thing) -> str | None:
    """Returns "keras" or "tf_keras", whichever `thing`'s class comes from.

    Returns None for an object of neither, such as a plain Python value.
    """
    for base in type(thing).__mro__:
        root = base.__module__.partition(".")[0]
        if root in ("keras", "tf_keras"):
            return root
    return None


def is_stock(thing) -> bool:
    """Whether the class of `thing` is one of Keras itself, not derived from it.

    What a user's class makes of its kernel or statistics is not known.
    """
    return type(thing).__module__.partition(".")[0] in ("keras", "tf_keras")


def keras_module(thing):
    """Returns the Keras that `thing`'s class comes from, as a module.

    It is the active Keras for an object of neither.
    """
    family = keras_of(thing)
    if family in (None, KERAS_NAME):
        return keras
    return importlib.import_module(family)  # Imported already, by `thing`.


def knowing_all_layers(keras):
    """Returns a scope in which a Keras finds all of its own layers by name.

    tf_keras has forgotten one: without it, files with it cannot be loaded.
    """
    forgotten = keras.layers.SpectralNormalization
    return keras.utils.custom_object_scope({forgotten.__name__: forgotten})


def check_active_keras(thing, name="model"):
    """Raises a TypeError when `thing` belongs to the Keras not in use."""
    family = keras_of(thing)
    if family not in (None, KERAS_NAME):
        wanted = "0" if family == "keras" else "1"
        raise TypeError(
            f"Expected a {name} of {KERAS_NAME}, the Keras that `tf.keras` "
            f"resolves to in this process. Received a {name} of {family}: "
            f"{type(thing).__name__}. Set the environment variable "
            f"TF_USE_LEGACY_KERAS={wanted} before TensorFlow is imported, or "
            f"rebuild the {name} with {KERAS_NAME}."
        )
