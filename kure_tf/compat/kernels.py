"""Which layers have kernels, and under which names."""

import dataclasses
import functools
import re

from kure_tf.compat.active import keras_module


@dataclasses.dataclass(frozen=True)
class Kernel:
    """Where a layer keeps one kernel.

    Attributes:
        attribute: Name of the layer's attribute that holds the variable.
        regularizer: Name of the constructor argument that regularizes it.
        channel_axes: Axes of the output channels, counted from the end:
            `(-1,)`, or `(-2, -1)` for depthwise kernels `[..., in,
            multiplier]`.
    """

    attribute: str
    regularizer: str
    channel_axes: tuple[int, ...] = (-1,)


def channel_shape(shape, axes) -> tuple[int, ...]:
    """Returns a shape with 1 for every axis but some, those of channels.

    What has one value for each channel broadcasts in it against `shape`.
    """
    kept = {axis % len(shape) for axis in axes}
    return tuple(size if i in kept else 1 for i, size in enumerate(shape))


@functools.cache
def _kernel_table(keras):
    layers = keras.layers
    keras_3 = keras.__name__ == "keras"
    depthwise = "kernel" if keras_3 else "depthwise_kernel"
    plain = (Kernel("kernel", "kernel_regularizer"),)
    transposed = (Kernel("kernel", "kernel_regularizer", (-2,)),)
    in_depth = Kernel(depthwise, "depthwise_regularizer", (-2, -1))
    separable = (
        Kernel("depthwise_kernel", "depthwise_regularizer", (-2, -1)),
        Kernel("pointwise_kernel", "pointwise_regularizer"),
    )
    by_name = {
        # More derived classes first: tf_keras derives transposed, depthwise
        # and separable convolutions from the plain ones.
        **{f"SeparableConv{n}D": separable for n in (1, 2)},
        **{f"DepthwiseConv{n}D": (in_depth,) for n in (1, 2)},
        **{f"Conv{n}DTranspose": transposed for n in (1, 2, 3)},
        **{f"Conv{n}D": plain for n in (1, 2, 3)},
        **dict.fromkeys(("EinsumDense", "Dense"), plain),
    }
    return {
        getattr(layers, name): kernels
        for name, kernels in by_name.items()
        if hasattr(layers, name)
    }


def kernels_of(layer) -> tuple[Kernel, ...]:
    """Returns the kernels of a convolution or dense layer, () for others."""
    table = _kernel_table(keras_module(layer))
    for layer_class, kernels in table.items():
        if isinstance(layer, layer_class):
            if layer_class.__name__ == "EinsumDense":
                axes = _einsum_channels(layer.equation)
                return (dataclasses.replace(kernels[0], channel_axes=axes),)
            return kernels
    return ()


def _einsum_channels(equation):
    """Returns the axes of the kernel that only the output has, from the end.

    Where they are not neighbours, the last run of neighbours: one step size
    for each entry of those keeps to what one kernel of TensorFlow can do.
    """
    inputs, kernel, outputs = re.split(",|->", equation.replace(" ", ""))
    axes = [
        index - len(kernel)
        for index, letter in enumerate(kernel)
        if letter in outputs and letter not in inputs
    ]
    first = last = axes[-1] if axes else -1
    while first - 1 in axes:
        first -= 1
    return tuple(range(first, last + 1))
