"""The masks that Keras attaches to tensors."""

import dataclasses

import tensorflow as tf

from kure_tf.compat.active import IS_KERAS_3
from kure_tf.compat.replay import (
    calls_of,
    functional_inputs,
    is_symbolic,
    note_values,
    with_values,
)


def with_mask_of(before, after):
    """Returns the tensor `after`, with the Keras mask of `before` if any."""
    mask = _mask_of(before)
    if mask is not None:
        after._keras_mask = mask
    return after


def lose_mask_like(before, after):
    """Takes the mask off a tensor if it was taken off what took its place.

    Keras 3's MultiHeadAttention takes the masks off its inputs: layers called
    later that read these tensors, such as the sum around it, see none.

    Args:
        before: A tensor.
        after: What `with_mask_of` returned for it, after its use.
    """
    if _mask_of(before) is not None and _mask_of(after) is None:
        before._keras_mask = None


@dataclasses.dataclass(frozen=True)
class CallMasks:
    """Masks at one call of a model's graph.

    Attributes:
        given: For each symbolic tensor among the arguments, in the order of
            `tf.nest.flatten`: whether it has a mask when the layer is called.
        made: Whether an output has one.
    """

    given: tuple[bool, ...]
    made: bool


def masks_of_calls(model) -> list[CallMasks]:
    """Returns the `CallMasks` of each of `calls_of(model)`.

    In Keras 3 symbolic tensors do not tell: MultiHeadAttention takes the masks
    off its inputs, the tensors themselves, when it is called with others. Then
    the model's graph is traced, its own inputs without masks.

    Args:
        model: A functional or sequential model of the Keras in use.
    """
    symbolic = [
        _call_masks(_masks_of(_given(call)), call.outputs)
        for call in calls_of(model)
    ]
    if not IS_KERAS_3 or not any(masks.made for masks in symbolic):
        return symbolic
    found = []

    @tf.function
    def trace(*inputs):
        values = {}
        note_values(values, functional_inputs(model), inputs)
        for call in calls_of(model):
            args, kwargs = with_values((call.args, call.kwargs), values)
            # Before the call, which may take them off.
            given = _masks_of(values[id(tensor)] for tensor in _given(call))
            outputs = call.layer(*args, **kwargs)
            found.append(_call_masks(given, outputs))
            note_values(values, call.outputs, outputs)
        return ()

    inputs = tf.nest.flatten(functional_inputs(model))
    trace.get_concrete_function(
        *(tf.TensorSpec(one.shape, one.dtype) for one in inputs)
    )
    model._clear_losses()  # Those of the trace mean nothing.
    return found


def _given(call):
    """Returns the symbolic tensors among a call's arguments."""
    return filter(is_symbolic, tf.nest.flatten((call.args, call.kwargs)))


def _masks_of(tensors):
    return list(map(_mask_of, tensors))


def _mask_of(tensor):
    return getattr(tensor, "_keras_mask", None)


def _call_masks(given, outputs):
    made = _masks_of(tf.nest.flatten(outputs))
    return CallMasks(
        given=tuple(mask is not None for mask in given),
        made=any(mask is not None for mask in made),
    )
