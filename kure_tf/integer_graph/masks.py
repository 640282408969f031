"""Masks in integer operators: which places of a sequence count.

They come from indices, of which 0 counts for nothing. A mask is int8, too: its
code is 127 where a place counts, else -128. The minimum of it and any codes is
these codes, or the lowest one.
"""

import inspect

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.compat import IS_KERAS_3, keras
from kure_tf.integer_graph.graph import Quantization

_GRID = Quantization(1 / 255, -128)  # Values 0 and 1.
_WAY_OUT = (
    "Exact files have the mask that an Embedding of mask_zero=True makes, up "
    "to recurrent layers, attention and GlobalAveragePooling1D."
)

_SKIPPING = (
    keras.layers.Maximum,
    keras.layers.Minimum,
    keras.layers.Multiply,
)
"""Layers that leave out of what they merge what does not count, in Keras 3."""


def mask_behind(call, given):
    """Returns the mask that a layer puts out, None if there is none.

    Args:
        call: The `LayerCall`.
        given: The values that it was given.

    Raises:
        ValueError: If no operators make it.
    """
    if not call.masks.made:
        return None
    if getattr(call.inner, "mask_zero", False):
        return _of_indices(call, given[0])
    read = list(zip(call.tensors, given, strict=True))
    if "query" in (arguments := _arguments(call)):  # Its mask goes on.
        read = [one for one in read if one[0] is arguments["query"]]
    masked = [one for one in read if one[1].mask is not None]
    masks = {value.mask for _, value in masked}
    places = {tensor.shape[1] for tensor, _ in masked}
    if len(masks) != 1 or not _passes_on(call, places):
        call.refuse(
            f"it makes a mask, or hands one on. {_WAY_OUT} Build the model "
            "without Masking, and without own layers on the way of a mask."
        )
    return masks.pop()


def _passes_on(call, places):
    """Whether an output of so many places has the mask of what is read."""
    return (
        call.is_known
        and not _is_masking(call.inner)
        and places == {tensor.shape[1] for tensor in call.outputs}
    )


def _arguments(call):
    """Returns the arguments of a call by name."""
    if not isinstance(call.layer, keras.layers.Layer):
        return {}
    signature = inspect.signature(call.inner.call)
    return signature.bind(*call.args, **call.kwargs).arguments


def _is_masking(layer):
    return isinstance(layer, keras.layers.Masking)


def _of_indices(call, indices):
    """Adds the mask of indices, and its inverse, once."""
    if indices.seen is None:
        mask = _added(call, indices, inverse=False)
        mask.mask, mask.inverse = mask, _added(call, indices, inverse=True)
        indices.seen = mask
    return indices.seen


def _added(call, indices, inverse):
    def compute(x):
        return tf.cast((x != 0) != inverse, tf.float32)

    name = "unseen" if inverse else "seen"
    mask = call.add(
        "MASK", [indices], compute, quantization=_GRID, inverse=inverse
    )
    mask.name = f"{indices.name}/{name}"
    return mask


def mask_operation(call):
    """Reads what Keras 3 computes masks with, between layers.

    Returns:
        The mask; None for another operation.

    Raises:
        ValueError: If it makes another mask than that of indices.
    """
    if not _is_for_masks(call):
        return None
    first, *others = dict.fromkeys(call.inputs)
    leaves = tf.nest.flatten((call.args, call.kwargs))
    constants = [x for x in leaves if not compat.is_symbolic(x)]
    name = type(call.layer).__name__
    if name == "NotEqual" and not others and call.is_given(first):
        if np.array_equal(constants, [0]):
            return _of_indices(call, first)
    if name in ("LogicalAnd", "LogicalOr") and not others and not constants:
        if first.mask is first:  # Of a layer of several inputs with one mask.
            return first
    _refuse(call)


def _is_for_masks(call):
    """Whether it is an operation of Keras 3 that says yes or no."""
    return not isinstance(call.layer, keras.layers.Layer) and all(
        tf.as_dtype(tensor.dtype).is_bool for tensor in call.outputs
    )


def mask_of(call):
    """Returns the mask that a layer of one input is given, None if none."""
    arguments = _arguments(call)
    tensor = arguments.get("mask")
    if tensor is None:
        # tf_keras fills in none where the call says that there is none.
        hidden = "mask" in arguments and not IS_KERAS_3
        return None if hidden else call.inputs[0].mask
    for given, value in zip(call.tensors, call.inputs, strict=True):
        if given is tensor and value.mask is value:
            return value
    _refuse(call)


def check_use(call):
    """Raises if a layer makes something of a mask, or makes it."""
    if _is_for_masks(call) or _is_masking(call.inner):
        _refuse(call)
    if IS_KERAS_3 and isinstance(call.inner, _SKIPPING):
        _check_none(call)
    # A layer of one's own may give what it reads to layers inside.
    inside = [call.inner]
    if not call.is_known and isinstance(call.inner, keras.layers.Layer):
        inside = call.inner._flatten_layers()
    if any(map(_takes_mask, inside)):
        _check_none(call)


def _takes_mask(layer):
    names = inspect.signature(layer.call).parameters
    return any(name == "mask" or name.endswith("_mask") for name in names)


def check_steps(call):
    """Raises if a layer is called at each step of what has a mask."""
    _check_none(call)


def check_model(call):
    """Raises if a mask goes into a nested model, or comes out."""
    _check_none(call)
    if call.masks.made:
        _refuse(call)


def _check_none(call):
    if any(value.mask for value in call.inputs):
        _refuse(call)


def _refuse(call):
    call.refuse(f"it is given or makes a mask. {_WAY_OUT}")


def reshaped(call, mask, shape):
    """Adds a mask of another shape, of which -1 is the number of places."""

    def compute(x):
        sizes = [x.shape[1] if size == -1 else size for size in shape]
        return tf.reshape(x, [-1, *sizes])

    return call.add("RESHAPE", [mask], compute)


def at_time(call, mask, time, axes):
    """Adds the mask of one time step, of so many axes of size 1."""
    row = call.add(
        "SLICE", [mask], lambda x: x[:, time : time + 1], begin=(0, time)
    )
    return reshaped(call, row, [1] * axes) if axes > 1 else row


def held(call, new, before, seen, unseen):
    """Adds `new` where a mask counts, else `before`, on one grid.

    Args:
        call: The `LayerCall` that gets it.
        new, before: Values of one shape; None of `before` is 0.
        seen, unseen: The mask and its inverse, which broadcast against them.
    """
    if before is None:
        return call.add("MUL", [new, seen], tf.multiply, like=new)

    def compute(new, before, seen, unseen):
        return tf.where(seen > 0.5, new, before)

    return call.add("HELD", [new, before, seen, unseen], compute, like=new)
