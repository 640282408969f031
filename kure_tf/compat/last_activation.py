"""The function that the outputs of a model come out of."""

from kure_tf.compat.graph import graph_edges, model_in, output_layers

# What keeps probabilities what they are.
_PASSING = ("Reshape", "Flatten", "Permute", "Identity", "Dropout")


def last_activations(model) -> list[str]:
    """Returns the name of the last activation before each output of a model.

    Such as "softmax", "sigmoid" or "relu"; "linear" where there is none.
    Wrappers and nested models are opened.
    """
    return [_ending(layer, model) for layer in output_layers(model)]


def check_returns_logits(model, what="a model"):
    """Raises a ValueError if an output of `model` comes out of a softmax."""
    for layer, name in zip(
        output_layers(model), last_activations(model), strict=True
    ):
        if name == "softmax":
            raise ValueError(
                f"Expected {what} that returns logits. Its last layer "
                f"{layer.name!r} ends in a softmax: remove it "
                "(activation=None); argmax and accuracy stay the same."
            )


def _ending(layer, model):
    if (inside := model_in(layer)) is not None:
        return last_activations(inside)[0]
    inner = layer
    while hasattr(inner, "layer"):  # Quantizers around a wrapper are two.
        inner = inner.layer
    name = _name(inner)
    passing = type(inner).__name__ in (*_PASSING, "Activation")
    if name == "linear" and passing:
        before = [a for a, consumer in graph_edges(model) if consumer is layer]
        if len(before) == 1:
            return _ending(before[0], model)
    return name


def _name(layer):
    activation = getattr(layer, "activation", None)
    # tfmot keeps the layer's own in an object of its own.
    activation = getattr(activation, "activation", activation)
    if activation is None:
        # Layers and operations that are a function: Softmax, tf.nn.softmax.
        activation = getattr(layer, "function", None)
        name = getattr(activation, "__name__", type(layer).__name__)
        name = name.lower().removesuffix("_v2")
        return name if name in ("softmax", "sigmoid") else "linear"
    return getattr(activation, "__name__", type(activation).__name__).lower()
