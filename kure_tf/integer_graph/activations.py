"""Activation functions as integer operators."""

import numpy as np
import tensorflow as tf

from kure_tf.compat import keras
from kure_tf.integer_graph.graph import Quantization

# What LiteRT's kernels want their outputs in.
_UNSIGNED = Quantization(1 / 256, -128)
_SIGNED = Quantization(1 / 128, 0)
# Saturation of the output is the clipping to [0, 1].
_ZERO_TO_ONE = Quantization(float(np.float32(1 / 255)), -128)


def activate(call, x, function):
    """Adds the steps of an activation function; returns their value.

    Args:
        call: The `LayerCall` that it belongs to.
        x: The value that it is applied to.
        function: A function of Keras, or a layer such as ReLU.

    Raises:
        ValueError: If no integer operator computes it.
    """
    layer_readers = {
        keras.layers.ELU: _elu_layer,
        keras.layers.LeakyReLU: _leaky_relu,
        keras.layers.ReLU: _relu_layer,
    }
    for kind, read in layer_readers.items():
        if isinstance(function, kind):
            return read(call, x, function)
    name = _name_of(function)
    if name == "linear":
        return x
    if name == "leaky_relu":
        return _leaky_relu(call, x, function)
    if name not in ACTIVATIONS:
        call.refuse(
            f"no integer operator computes its activation {name!r}. Use one "
            f"of {sorted(ACTIVATIONS)}, or leave the layer in float: "
            "allow_float=True."
        )
    return ACTIVATIONS[name](call, x)


def _name_of(function):
    """Returns the name of a known function; else something that is not one."""
    name = getattr(function, "__name__", type(function).__name__)
    known = [getattr(home, name, None) for home in (keras.activations, tf.nn)]
    return name if any(function is own for own in known) else f"{name} (own)"


def _relu_layer(call, x, layer):
    limits = layer.max_value, layer.negative_slope, layer.threshold
    top, slope, threshold = (float(x or 0) for x in limits)
    if threshold or slope and top:
        call.refuse(
            "LiteRT's ReLU has no threshold, and no slope below zero with a "
            f"max_value. Received: max_value={top}, negative_slope={slope}, "
            f"threshold={threshold}."
        )
    if slope:
        return _leaky_relu(call, x, layer)
    if top == 6.0:
        return _relu6(call, x)
    if not top:
        return _relu(call, x)
    y = call.add("RELU", [x], lambda x: tf.clip_by_value(x, 0.0, top))
    return call.add("MINIMUM", [y], lambda x: tf.minimum(x, top), highest=top)


def _elu_layer(call, x, layer):
    if layer.alpha != 1:
        call.refuse(f"LiteRT's ELU has alpha=1. Received: {layer.alpha}.")
    return _elu(call, x)


def _elu(call, x):
    return call.add("ELU", [x], tf.nn.elu)


def _relu(call, x):
    return call.add("RELU", [x], tf.nn.relu)


def _relu6(call, x):
    return call.add("RELU6", [x], tf.nn.relu6)


def _softmax(call, x):
    return call.add("SOFTMAX", [x], tf.nn.softmax, quantization=_UNSIGNED)


def _sigmoid(call, x):
    return call.add("LOGISTIC", [x], tf.sigmoid, quantization=_UNSIGNED)


def _tanh(call, x):
    return call.add("TANH", [x], tf.tanh, quantization=_SIGNED)


def _swish(call, x):
    return call.add("MUL", [x, _sigmoid(call, x)], tf.multiply)


def _gelu(call, x):
    return call.add("GELU", [x], keras.activations.gelu)


def _hard_sigmoid(call, x):
    function = keras.activations.hard_sigmoid  # Two Kerases, two slopes.
    shift, one = (float(function(tf.constant(at))) for at in (0.0, 1.0))
    return call.add(
        "AFFINE",
        [x],
        function,
        gain=one - shift,
        shift=shift,
        quantization=_ZERO_TO_ONE,
    )


def _hard_swish(call, x):
    return call.add("HARD_SWISH", [x], lambda x: x * tf.nn.relu6(x + 3) / 6)


def _leaky_relu(call, x, function):
    slope = -float(function(tf.constant(-1.0)))
    return call.add("LEAKY_RELU", [x], function, slope=slope)


ACTIVATIONS = {
    "elu": _elu,
    "gelu": _gelu,
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": _hard_swish,
    "relu": _relu,
    "relu6": _relu6,
    "sigmoid": _sigmoid,
    "silu": _swish,
    "softmax": _softmax,
    "swish": _swish,
    "tanh": _tanh,
}
"""`{name of a function: what adds its steps}`."""
