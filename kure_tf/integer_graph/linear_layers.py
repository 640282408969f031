"""Convolutions and dense layers in integer operators."""

import re

import tensorflow as tf

from kure_tf import compat
from kure_tf.fake_quantized.taps import quantized
from kure_tf.integer_graph.activations import activate


def conv(call, kind="CONV_2D"):
    """Adds a convolution over one or two axes, `kind` of operator.

    One over a single axis is one over the second of two.
    """
    layer, one_axis = call.inner, len(call.inner.kernel_size) == 1
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
        compat.kernels_of(layer)[0].attribute,
        **_window(layer, padding),
    )
    if one_axis:
        y = call.add("RESHAPE", [y], lambda x: x[:, 0])
    return activate(call, y, layer.activation)


def depthwise(call):
    """Adds a depthwise convolution."""
    return conv(call, "DEPTHWISE_CONV_2D")


def transposed(call):
    """Adds a transposed convolution over one or two axes."""
    layer = call.inner
    if layer.output_padding is not None or set(layer.dilation_rate) != {1}:
        call.refuse("LiteRT has neither output_padding nor dilation for it.")
    return conv(call, "TRANSPOSE_CONV")


def separable(call):
    """Adds a separable convolution: a depthwise one, then one of a pixel.

    What is between has no quantizer of its own.
    """
    layer, one_axis = call.inner, len(call.inner.kernel_size) == 1
    if layer.padding == "causal":
        call.refuse("it is causal. Pad in front of it.")
    x, window = call.inputs[0], _window(layer, layer.padding)
    first, second = (kernel.attribute for kernel in compat.kernels_of(layer))
    if one_axis:
        x = call.add("RESHAPE", [x], lambda x: x[:, tf.newaxis])
    x = call.add("DEPTHWISE_CONV_2D", [x], _first_half(call), first, **window)
    y = call.add(
        "CONV_2D",
        [x],
        _second_half(call),
        second,
        reads=None,
        strides=(1, 1),
        padding="VALID",
        dilation=(1, 1),
    )
    if one_axis:
        y = call.add("RESHAPE", [y], lambda x: x[:, 0])
    return activate(call, y, layer.activation)


def _first_half(call):
    """Returns what computes the depthwise half of a separable layer."""
    window = _window(call.inner, call.inner.padding)
    strides = [1, *window["strides"], 1]

    def compute(x):
        return tf.nn.depthwise_conv2d(
            _quantized(call, "input", x),
            _kernel(call, "depthwise_kernel"),
            strides,
            window["padding"],
            dilations=window["dilation"],
        )

    return compute


def _second_half(call):
    """Returns what computes the rest of it, up to its activation."""
    bias = call.inner.bias

    def compute(x):
        y = tf.nn.conv2d(x, _kernel(call, "pointwise_kernel"), 1, "VALID")
        return y if bias is None else y + compat.full_precision(bias)

    return compute


def _quantized(call, tensor, x):
    """Returns a tensor as its quantizer rounds it, if it has one."""
    if (hosted := call.hosted.get(tensor)) is None:
        return x
    return quantized(hosted.quantizer, x, hosted.state)


def _kernel(call, attribute):
    """Returns a quantized kernel; one of a single axis as one of a row."""
    value = compat.full_precision(getattr(call.inner, attribute))
    kernel = _quantized(call, attribute, value)
    return kernel[tf.newaxis] if len(kernel.shape) == 3 else kernel


def dense(call):
    """Adds a dense layer over the last axis."""
    (kernel,) = compat.kernels_of(call.inner)
    y = call.add("FULLY_CONNECTED", call.inputs, call.compute, kernel.attribute)
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


def _window(layer, padding):
    """Returns the options of a convolution."""
    groups = getattr(layer, "groups", 1)
    return {
        "strides": pair(layer.strides),
        "padding": padding.upper(),
        "dilation": pair(layer.dilation_rate),
        **({"groups": groups} if groups > 1 else {}),
    }


def _causal(call):
    """Pads in front; returns the value and what computes the layer then."""
    layer = call.inner
    missing = (layer.kernel_size[0] - 1) * layer.dilation_rate[0]
    pads = ((0, 0), (missing, 0), (0, 0))
    x = call.add("PAD", call.inputs, lambda x: tf.pad(x, pads), pads=pads)
    return x, lambda x: call.compute(x[:, missing:])
