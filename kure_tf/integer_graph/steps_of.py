"""A Keras model as a list of steps."""

import tensorflow as tf

from kure_tf import compat
from kure_tf.integer_graph.layer_call import LayerCall
from kure_tf.integer_graph.masks import check_model, check_steps, mask_behind
from kure_tf.integer_graph.steps import Steps, Value, needed


def steps_of(model, read) -> Steps:
    """Returns the steps of a model, nested ones opened.

    Args:
        model: A functional or sequential model.
        read: Function of a `LayerCall` that adds the layer's steps and returns
            the value of its output.
    """
    tensors = tf.nest.flatten(compat.functional_inputs(model))
    found = Steps(
        [
            Value(_port_name(one), dtype=tf.as_dtype(one.dtype).name)
            for one in tensors
        ]
    )
    found.outputs = _walk(model, found.inputs, found.steps, read)
    return needed(found)


def _port_name(tensor):
    return tensor.name.split(":")[0].split("/")[0]


def _walk(model, inputs, steps, read):
    """Adds the steps of one model's graph; returns its output values."""
    tensors = tf.nest.flatten(compat.functional_inputs(model))
    known = dict(zip(map(id, tensors), inputs, strict=True))
    masks = {id(tensor): known[id(tensor)].mask for tensor in tensors}
    calls = zip(
        compat.calls_of(model), compat.masks_of_calls(model), strict=True
    )
    for call, seen in calls:
        leaves = tf.nest.flatten((call.args, call.kwargs))
        read_from = [leaf for leaf in leaves if compat.is_symbolic(leaf)]
        given = [known[id(tensor)] for tensor in read_from]
        # Two tensors may be one value, and only one of them have its mask.
        for tensor, value, masked in zip(
            read_from, given, seen.given, strict=True
        ):
            if value.mask is not value:
                value.mask = masks[id(tensor)] if masked else None
        layer_call = LayerCall(call, given, steps, seen)
        if compat.is_graph_model(call.layer):
            check_model(layer_call)
            made = _walk(call.layer, given, steps, read)
        else:
            _check_call(layer_call, call)
            value = _read(layer_call, steps, read)
            if value not in given:
                value.name = layer_call.name
            if value.mask is not value:
                value.mask = mask_behind(layer_call, given)
            made = [value]
        for tensor, value in zip(
            tf.nest.flatten(call.outputs), made, strict=True
        ):
            known[id(tensor)], masks[id(tensor)] = value, value.mask
    return [known[id(tensor)] for tensor in tf.nest.flatten(model.outputs)]


def _read(layer_call, steps, read):
    """Adds the steps of one layer; what is called at each step, opened."""
    if not layer_call.times:
        return read(layer_call)
    check_steps(layer_call)
    layer_call.merge_times()
    if not compat.is_graph_model(layer_call.inner):
        value = read(layer_call)
        return value if layer_call.in_float else layer_call.part_times(value)

    def read_inside(call):
        value = read(call)
        if call.in_float:
            call.refuse(
                "nothing can be left in float in a model that TimeDistributed "
                "calls at each step. Give it quantizers, leave it out, or wrap "
                "the layers of the model one by one in place of the whole."
            )
        return value

    inputs = layer_call.inputs
    (value,) = _walk(layer_call.inner, inputs, steps, read_inside)
    return layer_call.part_times(value)


def _check_call(layer_call, call):
    if call.kwargs.get("training"):
        layer_call.refuse(
            "the graph calls it with training=True. Call it without."
        )
    if len(tf.nest.flatten(call.outputs)) != 1:
        layer_call.refuse(
            "it has more than one output. Use return_state=False, "
            "return_attention_scores=False, and another merge_mode than None."
        )
