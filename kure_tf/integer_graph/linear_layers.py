"""Convolutions and dense layers in integer operators."""

import re

import tensorflow as tf

from kure_tf.integer_graph.activations import activate


def conv(call, kind="CONV_2D"):
    """Adds a convolution over one or two axes, `kind` of operator.

    One over a single axis is one over the second of two.
    """
    layer, one_axis = call.inner, len(call.inner.kernel_size) == 1
    if getattr(layer, "groups", 1) != 1:
        call.refuse("its kernel has groups. Use groups=1, or depthwise.")
    x, compute, padding = call.inputs[0], call.compute, layer.padding
    if padding == "causal":
        x, compute = _causal(call)
        padding = "valid"
    if one_axis:
        x = call.add("RESHAPE", [x], lambda x: x[:, tf.newaxis])
    y = call.add(
        kind,
        [x],
        over_rows(compute) if one_axis else compute,
        strides=pair(layer.strides),
        padding=padding.upper(),
        dilation=pair(layer.dilation_rate),
    )
    if one_axis:
        y = call.add("RESHAPE", [y], lambda x: x[:, 0])
    return activate(call, y, layer.activation)


def depthwise(call):
    """Adds a depthwise convolution."""
    return conv(call, "DEPTHWISE_CONV_2D")


def transposed(call):
    """Adds a transposed convolution."""
    layer = call.inner
    if layer.output_padding is not None or set(layer.dilation_rate) != {1}:
        call.refuse("LiteRT has neither output_padding nor dilation for it.")
    return conv(call, "TRANSPOSE_CONV")


def dense(call):
    """Adds a dense layer over the last axis."""
    y = call.add("FULLY_CONNECTED", call.inputs, call.compute)
    return activate(call, y, call.inner.activation)


def einsum_dense(call):
    """Adds an EinsumDense that is a dense layer over the last axis."""
    layer = call.inner
    if not re.fullmatch(
        r"(\.\.\.|[a-z]*)([a-z]),\2([a-z])->\1\3", layer.equation
    ) or layer.bias_axes not in (None, layer.equation[-1]):
        call.refuse(
            f"its equation {layer.equation!r} is no dense layer over the last "
            "axis, such as '...x,xy->...y'."
        )
    return dense(call)


def over_rows(compute):
    """Returns a function of one axis as one of pictures of a single row."""
    return lambda x: compute(x[:, 0])[:, tf.newaxis]


def pair(sizes):
    """Returns two sizes of a window; a single one is along the second axis."""
    return (1, sizes[0]) if len(sizes) == 1 else tuple(sizes)


def _causal(call):
    """Pads in front; returns the value and what computes the layer then."""
    layer = call.inner
    missing = (layer.kernel_size[0] - 1) * layer.dilation_rate[0]
    pads = ((0, 0), (missing, 0), (0, 0))
    x = call.add("PAD", call.inputs, lambda x: tf.pad(x, pads), pads=pads)
    return x, lambda x: call.compute(x[:, missing:])
