"""Convolutions and dense layers in integer operators."""

import math
import re

import tensorflow as tf

from kure_tf import compat
from kure_tf.integer_graph.activations import activate
from kure_tf.ops.depthwise import depthwise_conv2d


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


def locally_connected(call):
    """Adds a LocallyConnected layer: what each place sees, then its kernel.

    The places are groups of channels of one convolution.
    """
    layer, one_axis = call.inner, len(call.inner.kernel_size) == 1
    (kernel,) = compat.kernels_of(layer) or (None,)
    if kernel is None:
        call.refuse("its kernel is not quantized. Use implementation=1.")
    x = call.quantize(call.inputs[0], "input")
    if one_axis:
        x = call.add("RESHAPE", [x], lambda x: x[:, tf.newaxis])
    size, strides = pair(layer.kernel_size), pair(layer.strides)
    window = {"strides": strides, "padding": "VALID"}

    def patches(x):
        return tf.image.extract_patches(
            x, (1, *size, 1), (1, *strides, 1), (1, 1, 1, 1), "VALID"
        )

    x = call.add("PATCHES", [x], patches, size=size, dilation=(1, 1), **window)
    places, summed, made = layer.kernel.shape
    x = call.add(
        "RESHAPE",
        [x],
        lambda x: tf.reshape(x, [-1, 1, 1, places * summed]),
    )

    def compute(x):
        x = tf.reshape(x, [-1, places, summed])
        kernel = call.rounded("kernel", compat.full_precision(layer.kernel))
        y = tf.einsum("bpi,pio->bpo", x, kernel)
        if layer.bias is not None:
            y += tf.reshape(compat.full_precision(layer.bias), [places, made])
        return tf.reshape(y, [-1, 1, 1, places * made])

    y = call.add(
        "CONV_2D",
        [x],
        compute,
        kernel.attribute,
        reads=None,
        strides=(1, 1),
        padding="VALID",
        dilation=(1, 1),
        groups=places,
        of_places=True,
    )
    sides = (places,) if one_axis else (layer.output_row, layer.output_col)
    y = call.add("RESHAPE", [y], lambda y: tf.reshape(y, [-1, *sides, made]))
    return activate(call, y, layer.activation)


def _first_half(call):
    """Returns what computes the depthwise half of a separable layer."""
    window = _window(call.inner, call.inner.padding)

    def compute(x):
        return depthwise_conv2d(
            call.rounded("input", x),
            _kernel(call, "depthwise_kernel"),
            **window,
        )

    return compute


def _second_half(call):
    """Returns what computes the rest of it, up to its activation."""
    bias = call.inner.bias

    def compute(x):
        y = tf.nn.conv2d(x, _kernel(call, "pointwise_kernel"), 1, "VALID")
        return y if bias is None else y + compat.full_precision(bias)

    return compute


def _kernel(call, attribute):
    """Returns a quantized kernel; one of a single axis as one of a row."""
    value = compat.full_precision(getattr(call.inner, attribute))
    kernel = call.rounded(attribute, value)
    return kernel[tf.newaxis] if len(kernel.shape) == 3 else kernel


def dense(call):
    """Adds a dense layer over the last axis."""
    (kernel,) = compat.kernels_of(call.inner)
    y = call.add("FULLY_CONNECTED", call.inputs, call.compute, kernel.attribute)
    return activate(call, y, call.inner.activation)


def einsum_dense(call):
    """Adds an EinsumDense that is a dense layer over its last axes."""
    layer = call.inner
    summed, made = _dense_letters(layer.equation)
    if not summed or layer.bias_axes not in (None, made):
        call.refuse(
            f"its equation {layer.equation!r} is no dense layer over the last "
            "axes, with a bias for each output, such as '...x,xy->...y' or "
            "'abc,cde->abde'."
        )
    letters = re.split(",|->", layer.equation.replace(" ", ""))[1]
    sizes = dict(zip(letters, layer.kernel.shape, strict=True))
    of_sums, of_outputs = (
        [sizes[letter] for letter in some] for some in (summed, made)
    )
    (x,) = call.inputs
    if len(summed) > 1:
        x = call.add("RESHAPE", [x], lambda x: _merged(x, len(summed)))

    def compute(x):
        x = tf.reshape(x, [-1, *x.shape[1:-1], *of_sums])
        return _merged(call.compute(x), len(made))

    (kernel,) = compat.kernels_of(layer)
    y = call.add("FULLY_CONNECTED", [x], compute, kernel.attribute)
    if len(made) > 1:
        y = call.add(
            "RESHAPE",
            [y],
            lambda x: tf.reshape(x, [-1, *x.shape[1:-1], *of_outputs]),
        )
    return activate(call, y, layer.activation)


def _merged(x, count):
    """Returns a tensor whose last axes are one."""
    return tf.reshape(x, [-1, *x.shape[1:-count], math.prod(x.shape[-count:])])


def _dense_letters(equation):
    """Returns the letters that an equation sums over, and those it makes.

    Both are empty where it is no product with a matrix, of the last axes.
    """
    x, kernel, y = re.split(",|->", equation.replace(" ", ""))
    made = "".join(letter for letter in kernel if letter not in x)
    summed = "".join(letter for letter in kernel if letter not in y)
    kept = x.removesuffix(summed)
    is_matrix = kernel in (summed + made, made + summed)
    if is_matrix and summed and made and (kept + summed, kept + made) == (x, y):
        return summed, made
    return "", ""


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
