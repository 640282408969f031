"""The graph of layers of a functional or sequential model."""

import tensorflow as tf

from kure_tf.compat.active import IS_KERAS_3, check_active_keras, keras


def is_graph_model(layer) -> bool:
    """Whether `layer` is a functional or sequential model."""
    if IS_KERAS_3:
        return isinstance(
            layer, (keras.Sequential, keras.src.models.Functional)
        )
    return isinstance(layer, keras.Model) and (
        isinstance(layer, keras.Sequential)
        or bool(getattr(layer, "_is_graph_network", False))
    )


def check_graph_model(model):
    """Raises unless `model` is a built functional or sequential model.

    Raises:
        TypeError: If `model` is no Keras model, one of the other Keras, or a
            subclassed model, whose graph of layers Keras does not know.
        ValueError: If `model` has no weights yet.
    """
    check_active_keras(model)
    if not isinstance(model, keras.Model):
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


def layers_of(model, prefix=""):
    """Yields `(path, layer)` for all but input layers, nested models opened.

    The order is that of the model's graph; a layer that is used more than once
    is listed once. A path joins the names of the models on the way with "/".
    """
    seen = set()

    def walk(parent, prefix):
        for layer in parent.layers:
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            path = f"{prefix}{layer.name}"
            if is_graph_model(layer):
                yield from walk(layer, f"{path}/")
            elif not isinstance(layer, keras.layers.InputLayer):
                yield path, layer

    yield from walk(model, prefix)


def graph_edges(model):
    """Returns `[(producer, consumer), ...]` of the layers in one model's graph.

    Nested models count as one layer. A layer called n times appears as the
    consumer of n calls.
    """
    if IS_KERAS_3 and isinstance(model, keras.Sequential):
        model = model._functional
    edges = []
    for nodes in model._nodes_by_depth.values():
        for node in nodes:
            consumer = node.operation if IS_KERAS_3 else node.layer
            for parent in node.parent_nodes:
                producer = parent.operation if IS_KERAS_3 else parent.layer
                edges.append((producer, consumer))
    return edges


def layer_calls(model):
    """Returns `[(layer, its input tensors), ...]` of one model's graph.

    Nested models count as one layer. A layer called n times appears n times.
    """
    if IS_KERAS_3 and isinstance(model, keras.Sequential):
        model = model._functional
    return [
        (node.operation, node.input_tensors)
        if IS_KERAS_3
        else (node.layer, tf.nest.flatten(node.keras_inputs))
        for nodes in model._nodes_by_depth.values()
        for node in nodes
    ]


def output_layers(model):
    """Returns the layers that make the outputs of one model's graph."""
    if IS_KERAS_3 and isinstance(model, keras.Sequential):
        model = model._functional
    outputs = tf.nest.flatten(model.outputs)
    if IS_KERAS_3:
        return [tensor._keras_history.operation for tensor in outputs]
    return [tensor._keras_history.layer for tensor in outputs]


def output_shape(layer):
    """Returns the shape of the output of a layer or model."""
    if IS_KERAS_3 and not is_graph_model(layer):
        return tuple(layer.output.shape)
    return tuple(layer.output_shape)
