"""A convolution or dense layer as a matrix product, whatever its kind."""

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.compat import keras

_layers = keras.layers
_TRANSPOSED = (
    _layers.Conv1DTranspose,
    _layers.Conv2DTranspose,
    _layers.Conv3DTranspose,
)
_DEPTHWISE = (_layers.DepthwiseConv1D, _layers.DepthwiseConv2D)
_SEPARABLE = (_layers.SeparableConv1D, _layers.SeparableConv2D)
_PLAIN = (_layers.Conv1D, _layers.Conv2D, _layers.Conv3D)


def why_no_matrix(layer) -> str | None:
    """Returns why `KernelMatrix` cannot be made of a layer, None if it can."""
    if compat.is_normalized(layer):
        return "unwrap_spectral_normalization(model) makes a plain layer of it"
    if isinstance(layer, _SEPARABLE):
        return "its output is not linear in its two kernels together"
    if not isinstance(
        layer, (*_TRANSPOSED, *_DEPTHWISE, *_PLAIN, _layers.Dense)
    ):
        return f"{type(layer).__name__} is no convolution or Dense layer"
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return "its channels come first"
    return None


class KernelMatrix:
    """The view `output = rows @ matrix` of a layer, in groups of channels.

        output[g, n, m] = sum_k rows[g, n, k] * matrix[g, k, m]

    without bias and activation; n counts images and places, k the values that
    a place sees (patches), m the output channels of a group. A depthwise
    convolution has a group for each input channel.

    Args:
        layer: A built layer for which `why_no_matrix` is None.

    Attributes:
        row_values: How many values a place sees, of all groups together.
    """

    def __init__(self, layer):
        (kernel,) = compat.kernels_of(layer)
        self._layer, self._regularizer = layer, kernel.regularizer
        shape = tuple(getattr(layer, kernel.attribute).shape)
        self._depthwise = isinstance(layer, _DEPTHWISE)
        self._transposed = isinstance(layer, _TRANSPOSED)
        if self._transposed:
            shape = (*shape[:-2], shape[-1], shape[-2])
        self._window = shape[:-1]
        self._groups = getattr(layer, "groups", 1) or 1
        if self._depthwise:
            self._window, self._groups = shape[:-2], shape[-2]
        self._size = int(np.prod(self._window))
        self.row_values = self._groups * self._size
        identity = np.broadcast_to(
            np.eye(self._size, dtype=np.float32),
            (self._groups, self._size, self._size),
        )
        self._patches = self._linear(identity)

    def to_matrix(self, kernel) -> np.ndarray:
        """Returns an array of the kernel's shape as `[g, k, m]`."""
        if self._transposed:
            kernel = np.swapaxes(kernel, -1, -2)
        split = np.reshape(kernel, (self._size, self._groups, -1))
        return np.ascontiguousarray(np.swapaxes(split, 0, 1))

    def to_kernel(self, matrix) -> np.ndarray:
        """Returns a matrix `[g, k, m]` as an array of the kernel's shape."""
        split = np.swapaxes(matrix, 0, 1)
        if self._depthwise:
            return split.reshape(*self._window, *split.shape[1:])
        kernel = split.reshape(*self._window, -1)
        return np.swapaxes(kernel, -1, -2) if self._transposed else kernel

    def rows(self, inputs):
        """Returns the tensor `[g, n, k]` of what the outputs are sums of."""
        return self._grouped(self._patches(inputs))

    def outputs(self, inputs, matrix):
        """Returns the tensor `[g, n, m]` of the layer with another matrix."""
        return self._grouped(self._linear(matrix)(inputs))

    def _grouped(self, outputs):
        per_group = outputs.shape[-1] // self._groups
        split = tf.reshape(outputs, (-1, self._groups, per_group))
        return tf.transpose(split, (1, 0, 2))

    def _linear(self, matrix):
        """Returns a layer like this one, with as many channels as needed.

        With the identity as its matrix it returns the patches themselves,
        padded, strided and dilated as the layer does.
        """
        # One kernel per layer: the patches differ by its kind in nothing else.
        count = {"filters": self._groups * matrix.shape[-1]}
        if self._depthwise:
            count = {"depth_multiplier": matrix.shape[-1]}
        elif isinstance(self._layer, _layers.Dense):
            count = {"units": matrix.shape[-1]}
        linear = compat.copy_layer(
            self._layer,
            {
                **count,
                self._regularizer: None,
                "activation": "linear",
                "use_bias": False,
                "dtype": "float32",
            },
        )

        def call(inputs):
            inputs = tf.cast(inputs, tf.float32)
            if not linear.built:
                linear.build(inputs.shape)
                linear.built = True
                linear.set_weights([self.to_kernel(matrix)])
            return linear(inputs)

        return call
