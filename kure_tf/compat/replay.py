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
    new = {}

    def remember(before, after):
        before, after = tf.nest.flatten(before), tf.nest.flatten(after)
        for old, tensor in zip(before, after, strict=True):
            new[id(old)] = tensor

    def renewed(structure):
        return tf.nest.map_structure(
            lambda leaf: new[id(leaf)] if is_symbolic(leaf) else leaf, structure
        )

    remember(functional_inputs(model), inputs)
    for made in calls_of(model):
        outputs = call(made.layer, renewed(made.args), renewed(made.kwargs))
        remember(made.outputs, outputs)
    return renewed(_functional_outputs(model))


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
