"""What layers are called with."""

import inspect
import itertools

import tensorflow as tf

from kure_tf.compat.active import keras_module
from kure_tf.compat.kernels import kind_of


def inputs_of(layer) -> dict[str, str]:
    """Returns `{tensor: argument}` of what a layer multiplies by its kernels.

    `argument` is one of its `call`. Attention has up to three inputs, an
    embedding none: it looks rows up. A layer of your own says otherwise in a
    method `kure_tf_inputs()`, which returns the names of arguments.
    """
    if hasattr(layer, "kure_tf_inputs"):
        names = tuple(layer.kure_tf_inputs())
    elif _looks_up(layer):
        names = ()
    elif kind_of(layer) in ("MultiHeadAttention", "GroupQueryAttention"):
        names = ("query", "value", "key")
    else:
        names = tuple(inspect.signature(layer.call).parameters)[:1]
    others = {f"{name}_input": name for name in names[1:]}
    return {**({"input": names[0]} if names else {}), **others}


def _looks_up(layer):
    """Whether a layer is an embedding, or computes one inside."""
    if kind_of(layer) in ("TimeDistributed", "SpectralNormalization"):
        return _looks_up(layer.layer)
    return kind_of(layer) == "Embedding"


def distinct_inputs(layer, args, kwargs) -> tuple[str, ...]:
    """Returns those of `inputs_of` that a call gives, each tensor once."""
    given, names = {}, {}
    with_arguments(layer, args, kwargs, given.__setitem__)
    for name, argument in inputs_of(layer).items():
        if given.get(argument) is not None:
            names.setdefault(id(given[argument]), name)
    return tuple(names.values())


def call_like(layer, host):
    """Returns the `call` of the class of `host`, bound to it.

    It has the signature of that of `layer`: Keras asks it which arguments are
    masks, and whether `training` is one.
    """

    def same(*args, **kwargs):
        return type(host).call(host, *args, **kwargs)

    same.__signature__ = inspect.signature(layer.call)
    return same


def with_arguments(layer, args, kwargs, change):
    """Returns `(args, kwargs)` with `change(name, value)` for each value."""
    names = itertools.chain(
        inspect.signature(layer.call).parameters, itertools.repeat(None)
    )
    new = {name: change(name, value) for name, value in kwargs.items()}
    return [change(next(names), value) for value in args], new


def by_name(layer, args, kwargs):
    """Returns `(args, kwargs)` with all arguments but the first by name.

    `__call__` of tf_keras' recurrent layers takes them in another order than
    their `call`. Those of a layer with `*args` stay as they are.
    """
    names = inspect.signature(layer.call).parameters
    if any(one.kind is one.VAR_POSITIONAL for one in names.values()):
        return args, kwargs
    others = zip(list(names)[1:], args[1:], strict=False)
    return args[:1], {**dict(others), **kwargs}


def build_for_call(layer, args, kwargs):
    """Builds a layer for a call with several tensors.

    One that takes a single tensor is left to its own `build`.
    """
    tensors = [leaf for leaf in tf.nest.flatten((args, kwargs)) if _sized(leaf)]
    if layer.built or len(tensors) < 2:
        return
    keras = keras_module(layer)

    def stand_in(leaf):
        if not _sized(leaf):
            return leaf
        return keras.Input(batch_shape=tuple(leaf.shape), dtype=leaf.dtype)

    args, kwargs = tf.nest.map_structure(stand_in, (args, kwargs))
    layer(*args, **kwargs)


def _sized(leaf):
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype")
