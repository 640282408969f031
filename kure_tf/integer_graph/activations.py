"""Activation functions as integer operators."""

import tensorflow as tf

from kure_tf.compat import keras
from kure_tf.integer_graph.graph import Quantization

_UNSIGNED = Quantization(1 / 256, -128)


def activate(call, x, function):
    """Adds the steps of an activation function; returns their value.

    Args:
        call: The `LayerCall` that it belongs to.
        x: The value that it is applied to.
        function: A function of Keras, or a layer such as ReLU.

    Raises:
        ValueError: If no integer operator computes it.
    """
    name = _name_of(function)
    if name == "linear":
        return x
    if name not in ACTIVATIONS:
        call.refuse(
            f"no integer operator computes its activation {name!r}. Use one "
            f"of {sorted(ACTIVATIONS)}."
        )
    return ACTIVATIONS[name](call, x)


def _name_of(function):
    """Returns the name of a known function; else something that is not one."""
    if isinstance(function, keras.layers.ReLU):
        return _name_of_relu(function)
    name = getattr(function, "__name__", type(function).__name__)
    known = [getattr(home, name, None) for home in (keras.activations, tf.nn)]
    return name if any(function is own for own in known) else f"{name} (own)"


def _name_of_relu(layer):
    limits = layer.max_value, layer.negative_slope, layer.threshold
    top, slope, threshold = (float(x or 0) for x in limits)
    known = {0.0: "relu", 6.0: "relu6"}
    if slope or threshold or top not in known:
        return (
            f"ReLU(max_value={top}, negative_slope={slope}, "
            f"threshold={threshold})"
        )
    return known[top]


def _relu(call, x):
    return call.add("RELU", [x], tf.nn.relu)


def _relu6(call, x):
    return call.add("RELU6", [x], tf.nn.relu6)


def _softmax(call, x):
    return call.add("SOFTMAX", [x], tf.nn.softmax, quantization=_UNSIGNED)


ACTIVATIONS = {"relu": _relu, "relu6": _relu6, "softmax": _softmax}
"""`{name of a function: what adds its steps}`."""
