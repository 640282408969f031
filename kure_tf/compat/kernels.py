"""Which layers have kernels, and under which names."""

import dataclasses
import functools
import re

from kure_tf.compat.active import keras_module
from kure_tf.compat.kernel import Kernel

_PLAIN = (Kernel("kernel", "kernel_regularizer"),)
_SEPARABLE = (
    Kernel("depthwise_kernel", "depthwise_regularizer", (-2, -1)),
    Kernel("pointwise_kernel", "pointwise_regularizer"),
)
_RECURRENT = (*_PLAIN, Kernel("recurrent_kernel", "recurrent_regularizer"))
_ATTENTION = ("MultiHeadAttention", "GroupQueryAttention")


def kernels_of(layer) -> tuple[Kernel, ...]:
    """Returns the kernels of a layer, () if kure_tf knows of none.

    Those of convolutions and dense layers, of embeddings, of recurrent layers
    and their cells, of attention's projections, of layers inside
    `TimeDistributed`, `Bidirectional` and `SpectralNormalization`, and what a
    layer with a method `kure_tf_kernels()` says.
    """
    if hasattr(layer, "kure_tf_kernels"):
        return tuple(layer.kure_tf_kernels())
    kind = kind_of(layer)
    if kind is None:
        return ()
    if kind == "EinsumDense":
        axes = _einsum_channels(layer.equation)
        return (dataclasses.replace(*_PLAIN, channel_axes=axes),)
    if kind in _OF_LAYERS_INSIDE:
        return _OF_LAYERS_INSIDE[kind](layer)
    if kind.startswith("LocallyConnected") and layer.implementation != 1:
        return ()  # Its kernel is mostly a mask's zeros.
    return _table(keras_module(layer))[kind]


def is_linear(layer) -> bool:
    """Whether a layer is a convolution or dense layer, or derived from one.

    Its output is then a product with its kernel, plus a bias, and an
    activation of that.
    """
    return kind_of(layer) in _linear_table(keras_module(layer))


def kind_of(layer) -> str | None:
    """Returns the name of the class that a layer with kernels is or extends."""
    keras = keras_module(layer)
    for name in _table(keras):
        if isinstance(layer, getattr(keras.layers, name)):
            return name
    return None


def why_no_kernels(layer) -> str:
    """Returns why a layer with weights has no kernel that kure_tf knows."""
    return f"{type(layer).__name__} has no kernels that kure_tf knows"


@functools.cache
def _linear_table(keras):
    depthwise = "kernel" if keras.__name__ == "keras" else "depthwise_kernel"
    transposed = (Kernel("kernel", "kernel_regularizer", (-2,)),)
    in_depth = (Kernel(depthwise, "depthwise_regularizer", (-2, -1)),)
    return {
        # More derived classes first: tf_keras derives transposed, depthwise
        # and separable convolutions from the plain ones.
        **{f"SeparableConv{n}D": _SEPARABLE for n in (1, 2)},
        **{f"DepthwiseConv{n}D": in_depth for n in (1, 2)},
        **{f"Conv{n}DTranspose": transposed for n in (1, 2, 3)},
        **{f"Conv{n}D": _PLAIN for n in (1, 2, 3)},
        **dict.fromkeys(("EinsumDense", "Dense"), _PLAIN),
    }


@functools.cache
def _table(keras):
    by_name = {
        **_linear_table(keras),
        "Embedding": (Kernel("embeddings", "embeddings_regularizer", (-2,)),),
        **{f"LocallyConnected{n}D": _PLAIN for n in (1, 2)},
        **dict.fromkeys(("LSTMCell", "GRUCell", "SimpleRNNCell"), _RECURRENT),
        **dict.fromkeys(_OF_LAYERS_INSIDE, ()),
    }
    return {
        name: kernels
        for name, kernels in by_name.items()
        if hasattr(keras.layers, name)
    }


def _of_recurrent(layer):
    """Of a layer that takes its cell's arguments in place of the cell."""
    # Of a built-in class that keras.layers does not have: ConvLSTM's cell.
    return _seen_through(_RECURRENT, ("cell",))


def _of_cells(layer):
    """Of a recurrent layer that is given its cell."""
    config = ("cell", "config")
    return _seen_through(kernels_of(layer.cell), ("cell",), config)


def _of_stacked_cells(layer):
    kernels = []
    for index, cell in enumerate(layer.cells):
        config = ("cells", index, "config")
        kernels += _seen_through(
            kernels_of(cell), ("cells", index), config, f"cell_{index}_"
        )
    return tuple(kernels)


def _of_wrapped(layer):
    config = ("layer", "config")
    return _seen_through(kernels_of(layer.layer), ("layer",), config)


def _of_bidirectional(layer):
    kernels = []
    for name in ("forward", "backward"):
        attribute = f"{name}_layer"
        own = attribute if attribute in layer.get_config() else "layer"
        kernels += _seen_through(
            kernels_of(getattr(layer, attribute)),
            (attribute,),
            (own, "config"),
            f"{name}_",
        )
    return tuple(kernels)


def _of_attention(layer):
    """Of the projections of query, key, value and output, and of a gate."""
    heads, features = (-2, -1), (-1,)
    output_shape = getattr(layer, "_output_shape", None)
    if isinstance(output_shape, (list, tuple)) and len(output_shape) > 1:
        features = tuple(range(-len(output_shape), 0))
    channels = {
        **dict.fromkeys(("query", "key", "value"), heads),
        "output": features,
    }
    if getattr(layer, "_use_gate", getattr(layer, "use_gate", False)):
        channels["gate"] = heads
    return tuple(
        Kernel(
            "kernel",
            "kernel_regularizer",
            axes,
            owner=(f"_{name}_dense",),
            prefix=f"{name}_",
        )
        for name, axes in channels.items()
    )


def _seen_through(kernels, owner, config=(), prefix=""):
    return tuple(kernel.inside(owner, config, prefix) for kernel in kernels)


_OF_LAYERS_INSIDE = {
    "LSTM": _of_recurrent,
    "GRU": _of_recurrent,
    "SimpleRNN": _of_recurrent,
    **{f"ConvLSTM{n}D": _of_recurrent for n in (1, 2, 3)},
    "RNN": _of_cells,
    "StackedRNNCells": _of_stacked_cells,
    "Bidirectional": _of_bidirectional,
    "TimeDistributed": _of_wrapped,
    "SpectralNormalization": _of_wrapped,
    **dict.fromkeys(_ATTENTION, _of_attention),
}


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
