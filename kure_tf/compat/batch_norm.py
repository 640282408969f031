"""Finding batch-norm layers, and computing something else in their place."""

import contextlib

from kure_tf.compat.active import keras
from kure_tf.compat.graph import layers_of


def _batch_norm_classes():
    layers = keras.layers
    experimental = getattr(layers, "experimental", None)
    # In tf_keras the synchronized one derives from a base class of its own.
    synchronized = getattr(experimental, "SyncBatchNormalization", None)
    return tuple(
        found for found in (layers.BatchNormalization, synchronized) if found
    )


_BATCH_NORM = _batch_norm_classes()


def batch_norms_of(model):
    """Yields `(path, layer)` of each batch-norm layer, in graph order.

    Nested models are opened, and so are layers made of other layers. A layer
    that is used more than once is listed once.
    """
    seen, taken = set(), set()
    for path, layer in layers_of(model):
        for inner in layer._flatten_layers(include_self=True):
            if not isinstance(inner, _BATCH_NORM) or id(inner) in seen:
                continue
            seen.add(id(inner))
            name = path if inner is layer else f"{path}/{inner.name}"
            free, number = name, 1
            while free in taken:
                free, number = f"{name}_{number}", number + 1
            taken.add(free)
            yield free, inner


@contextlib.contextmanager
def calling(layer, call):
    """While open, `layer` computes `call(inputs, ...)` in place of its own.

    What is around its call stays: casts of the input, masks, specifications.
    `call` takes the arguments that the layer's own takes.
    """
    own = vars(layer).get("call")
    # Plain setattr is for what a layer tracks; a method is not.
    object.__setattr__(layer, "call", call)
    try:
        yield
    finally:
        object.__delattr__(layer, "call")
        if own is not None:
            object.__setattr__(layer, "call", own)
