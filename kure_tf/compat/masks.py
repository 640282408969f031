"""Which tensors have a Keras mask when a layer is called."""

import dataclasses

import tensorflow as tf

from kure_tf.compat.graph import functional
from kure_tf.compat.replay import (
    calls_of,
    functional_inputs,
    is_symbolic,
    note_values,
    with_values,
)


@dataclasses.dataclass(frozen=True)
class CallMasks:
    """Masks at one call of a model's graph.

    Attributes:
        given: For each symbolic tensor among the arguments, in the order of
            `tf.nest.flatten`: whether it has a mask when the layer is called.
        made: Whether an output has one.
        handed_on: Whether that is one of those given, the very tensor.
    """

    given: tuple[bool, ...]
    made: bool
    handed_on: bool


def masks_of_calls(model) -> list[CallMasks]:
    """Returns the `CallMasks` of each of `calls_of(model)`.

    Symbolic tensors do not tell: MultiHeadAttention of Keras 3 takes the masks
    off its inputs, the tensors themselves, when it is called with others, and
    tf_keras makes new masks of those that go on. So the model's graph is
    traced, its own inputs without masks.

    Args:
        model: A functional or sequential model of the Keras in use.
    """
    symbolic = [
        _call_masks(_masks_of(_given(call)), call.outputs)
        for call in calls_of(model)
    ]
    if not any(masks.made for masks in symbolic):
        return symbolic
    found = []

    @tf.function(autograph=False)
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

    inputs = tf.nest.flatten(functional_inputs(functional(model)))
    trace.get_concrete_function(
        *(tf.TensorSpec(one.shape, one.dtype) for one in inputs)
    )
    return found


def _given(call):
    """Returns the symbolic tensors among a call's arguments."""
    return filter(is_symbolic, tf.nest.flatten((call.args, call.kwargs)))


def _masks_of(tensors):
    return [getattr(tensor, "_keras_mask", None) for tensor in tensors]


def _call_masks(given, outputs):
    made = [
        mask for mask in _masks_of(tf.nest.flatten(outputs)) if mask is not None
    ]
    return CallMasks(
        given=tuple(mask is not None for mask in given),
        made=bool(made),
        handed_on=any(new is old for new in made for old in given),
    )
