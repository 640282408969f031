"""The graph of layers of a functional or sequential model."""

import numpy as np
import tensorflow as tf

from kure_tf.compat.active import check_active_keras, keras_module, keras_of
from kure_tf.compat.arguments import by_name
from kure_tf.compat.kernels import kernels_of


def is_graph_model(layer) -> bool:
    """Whether `layer` is a functional or sequential model of either Keras."""
    keras = keras_module(layer)
    if keras_of(layer) == "keras":
        return isinstance(
            layer, (keras.Sequential, keras.src.models.Functional)
        )
    return isinstance(layer, keras.Model) and (
        isinstance(layer, keras.Sequential)
        or bool(getattr(layer, "_is_graph_network", False))
    )


def is_time_distributed(layer) -> bool:
    """Whether `layer` is `TimeDistributed`, of which a subclass may differ."""
    return type(layer) is keras_module(layer).layers.TimeDistributed


def model_in(layer):
    """Returns the model whose graph `layer` computes, None if there is none.

    A functional or sequential model itself, or the one that `TimeDistributed`
    calls at each step.
    """
    while is_time_distributed(layer):
        layer = layer.layer
    return layer if is_graph_model(layer) else None


def repeats_models(model) -> bool:
    """Whether `TimeDistributed` computes a model in it, or in a nested one."""
    nested = [(layer, model_in(layer)) for layer in model.layers]
    return any(
        inside is not None and (inside is not layer or repeats_models(inside))
        for layer, inside in nested
    )


def check_graph_model(model, *, any_keras=False):
    """Raises unless `model` is a built functional or sequential model.

    Args:
        model: What should be one.
        any_keras: Whether a model of the Keras not in use is fine too.

    Raises:
        TypeError: If `model` is no Keras model, one of the other Keras, or a
            subclassed model, whose graph of layers Keras does not know.
        ValueError: If `model` has no weights yet.
    """
    if not any_keras:
        check_active_keras(model)
    if not isinstance(model, keras_module(model).Model):
        raise TypeError(
            "Expected a functional or sequential Keras model. Received: "
            f"{type(model).__name__}."
        )
    if not is_graph_model(model):
        raise TypeError(
            "Expected a functional or sequential Keras model, whose graph of "
            f"layers is known. Received the subclassed model "
            f"{type(model).__name__!r}. Write it with the functional API: "
            "`keras.Model(inputs, outputs)`."
        )
    if not model.built or not getattr(model, "inputs", None):
        raise ValueError(
            f"Expected a built model. Received the unbuilt model "
            f"{model.name!r}. Give its first layer an input shape, or call it "
            "once on a batch."
        )


def check_one_output(model):
    """Raises a ValueError unless `model` has one output."""
    if len(model.outputs) != 1:
        raise ValueError(
            f"Expected a model with one output. Received {len(model.outputs)}."
        )


def check_one_input_and_output(model):
    """Raises a ValueError unless `model` has one input and one output."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            "Expected a model with one input and one output. Received "
            f"{len(model.inputs)} and {len(model.outputs)}."
        )


def check_kernels(model):
    """Raises unless each kernel is a floating-point variable of its layer.

    Args:
        model: A functional or sequential model.

    Raises:
        ValueError: If a layer adds LoRA to its kernel, or holds the codes of
            Keras' own `quantize` in place of it.
    """
    for path, layer in layers_of(model):
        for kernel in kernels_of(layer):
            _check_owner(path, kernel.owner_in(layer))


def _check_owner(path, layer):
    if getattr(layer, "lora_enabled", False):
        raise ValueError(
            f"Expected kernels that are variables. That of {path!r} is a "
            "sum, since LoRA is enabled. `model.save_weights` merges it: "
            "load the file into a model without LoRA."
        )
    mode = getattr(layer, "quantization_mode", None)
    if mode is not None:
        raise ValueError(
            f"Expected kernels in floating point. {path!r} holds codes "
            f"that Keras has made: quantize({mode!r}). Start from the "
            "model as it was before."
        )


def layers_of(model, prefix=""):
    """Yields `(path, layer)` for all but input layers, nested models opened.

    The order is that of the model's graph; a layer that is used more than once
    is listed once. A path joins the names of the models on the way with "/";
    of a model inside `TimeDistributed` it has the name of the wrapper.

    Raises:
        TypeError: If `model` has no layers.
    """
    if not hasattr(model, "layers"):
        raise TypeError(
            "Expected a functional or sequential Keras model. Received: "
            f"{type(model).__name__}."
        )
    seen = set()

    def walk(parent, prefix):
        for layer in parent.layers:
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            path = f"{prefix}{layer.name}"
            if (inside := model_in(layer)) is not None:
                yield from walk(inside, f"{path}/")
            elif not isinstance(layer, keras_module(layer).layers.InputLayer):
                yield path, layer

    yield from walk(model, prefix)


def functional(model):
    """Returns the functional model that a Keras 3 sequential one holds.

    Any other model is returned as it is.
    """
    return getattr(model, "_functional", None) or model


def graph_edges(model):
    """Returns `[(producer, consumer), ...]` of the layers in one model's graph.

    Nested models count as one layer. A layer called n times appears as the
    consumer of n calls.
    """
    model = functional(model)
    keras_3 = keras_of(model) == "keras"
    edges = []
    for nodes in model._nodes_by_depth.values():
        for node in nodes:
            consumer = node.operation if keras_3 else node.layer
            for parent in node.parent_nodes:
                producer = parent.operation if keras_3 else parent.layer
                edges.append((producer, consumer))
    return edges


def constants_of(model):
    """Returns `[(layer, argument), ...]` of calls with an array in tf_keras.

    Names of both. The graph's own tensors are not among them, nor is what a
    layer takes first, which tf_keras can repeat.
    """
    found = []
    for nodes in model._nodes_by_depth.values():
        for node in nodes:
            _, named = by_name(node.layer, node.call_args, node.call_kwargs)
            found += [
                (node.layer.name, name)
                for name, value in named.items()
                if any(map(_is_constant, tf.nest.flatten(value)))
            ]
    return found


def _is_constant(value):
    if isinstance(value, np.ndarray):
        return True
    return tf.is_tensor(value) and not hasattr(value, "_keras_history")


def output_layers(model):
    """Returns the layers that make the outputs of one model's graph."""
    model = functional(model)
    outputs = tf.nest.flatten(model.outputs)
    if keras_of(model) == "keras":
        return [tensor._keras_history.operation for tensor in outputs]
    return [tensor._keras_history.layer for tensor in outputs]


def output_names(model):
    """Returns the names of a model's outputs, in their order."""
    return list(functional(model).output_names)


def output_shape(layer):
    """Returns the shape of the output of a layer or model."""
    if keras_of(layer) == "keras" and not is_graph_model(layer):
        return tuple(layer.output.shape)
    return tuple(layer.output_shape)
