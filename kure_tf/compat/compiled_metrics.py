"""The accuracy of two classes that a model was compiled with."""

import tensorflow as tf

from kure_tf.compat.active import keras

_BINARY = ("binary_accuracy", "BinaryAccuracy")
_ANY = ("accuracy", "acc")  # Of one number for each place: binary.


def binary_threshold_of(model):
    """Returns above which output a compiled accuracy says 1, and else 0.

    It is that of `BinaryAccuracy`, or of "accuracy" for a model whose outputs
    end in an axis of 1. None if `model.compile` was given none.
    """
    config = getattr(model, "_compile_config", None)
    given = {} if config is None else config.config
    single = len(model.outputs) == 1 and model.outputs[0].shape[-1] == 1
    names = (*_BINARY, *_ANY) if single else _BINARY
    for one in tf.nest.flatten(given.get("metrics")):
        if isinstance(one, keras.metrics.BinaryAccuracy):
            return one.get_config()["threshold"]
        if one in names or one is keras.metrics.binary_accuracy:
            return 0.5
    return None
