"""Running a model's graph again, with other tensors and other layers."""

import dataclasses

import tensorflow as tf

from kure_tf.compat.active import keras_of
from kure_tf.compat.graph import functional


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer in a model's graph.

    Attributes:
        layer: The layer, nested model or (Keras 3) operation that is called.
        args: Its positional arguments; symbolic tensors among them.
        kwargs: Its other arguments.
        outputs: What it returned.
    """

    layer: object
    args: tuple
    kwargs: dict
    outputs: object


def calls_of(model):
    """Yields the `Call`s of a model's graph, each after those it needs.

    Input layers are left out; a nested model is called as one layer.
    """
    model = functional(model)
    keras_3 = keras_of(model) == "keras"
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            if keras_3:
                arguments = node.arguments
                yield Call(
                    node.operation,
                    arguments.args,
                    arguments.kwargs,
                    node.outputs,
                )
            else:
                yield Call(
                    node.layer, node.call_args, node.call_kwargs, node.outputs
                )


def replay(model, inputs, call):
    """Runs a model's graph on `inputs`, each call made by `call`.

    Args:
        model: A functional or sequential model of either Keras.
        inputs: What takes the place of the model's inputs, in their structure
            or as a list.
        call: Called with `(layer, args, kwargs)` for every call of a layer or
            nested model, the new tensors in place of the old ones. It returns
            the new outputs.

    Returns:
        The new outputs, in the structure of the model's.
    """
    model = functional(model)
    values = {}
    note_values(values, functional_inputs(model), inputs)
    for made in calls_of(model):
        outputs = call(
            made.layer,
            with_values(made.args, values),
            with_values(made.kwargs, values),
        )
        note_values(values, made.outputs, outputs)
    return with_values(_functional_outputs(model), values)


def note_values(values, symbolic, tensors):
    """Enters tensors into `{id of a symbolic tensor: tensor}`."""
    symbolic, tensors = tf.nest.flatten(symbolic), tf.nest.flatten(tensors)
    for old, new in zip(symbolic, tensors, strict=True):
        values[id(old)] = new


def with_values(structure, values):
    """Returns a structure with symbolic tensors replaced by their values."""
    return tf.nest.map_structure(
        lambda leaf: values[id(leaf)] if is_symbolic(leaf) else leaf, structure
    )


def input_values(model, inputs) -> dict:
    """Returns `{id of a symbolic input: tensor}`, as a call of the model has.

    Args:
        model: A functional or sequential model of either Keras.
        inputs: What the model would be called with.
    """
    model = functional(model)
    inputs = tf.nest.map_structure(tf.convert_to_tensor, inputs)
    if keras_of(model) == "keras":
        flat = model._standardize_inputs(inputs)
    else:
        flat = [
            model._conform_to_reference_input(tensor, ref_input=symbolic)
            for tensor, symbolic in zip(
                model._flatten_to_reference_inputs(inputs),
                model.inputs,
                strict=True,
            )
        ]
    values = {}
    note_values(values, model.inputs, flat)
    return values


def functional_inputs(model):
    """Returns the symbolic inputs of a model, in its own structure."""
    model = functional(model)
    if keras_of(model) == "keras":
        return model._inputs_struct
    return model._nested_inputs


def _functional_outputs(model):
    if keras_of(model) == "keras":
        return model._outputs_struct
    return model._nested_outputs


def is_symbolic(thing):
    """Whether `thing` is a symbolic tensor of either Keras."""
    return type(thing).__name__.endswith("KerasTensor")
