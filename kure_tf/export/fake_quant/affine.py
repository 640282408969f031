"""Scaling and shifting each channel, as a convolution."""

import numpy as np

from kure_tf.compat import keras
from kure_tf.export.fake_quant.fake_quant_kernel import HIGHEST, FakeQuantKernel
from kure_tf.export.fake_quant.linear import as_image, from_image
from kure_tf.fake_quantized import gain_and_shift


def is_affine(layer, x) -> bool:
    """Whether `affine` computes a layer, for the symbolic tensor `x`."""
    kinds = (keras.layers.BatchNormalization, keras.layers.Rescaling)
    if not isinstance(layer, kinds) or len(x.shape) not in (2, 3, 4):
        return False
    (axis,) = np.ravel(getattr(layer, "axis", -1))
    return axis % len(x.shape) == len(x.shape) - 1


def affine(layer, x, name, names):
    """Returns `gain * x + shift` by a depthwise convolution of one pixel.

    The converter computes it in float otherwise. Its codes are 127 and -127,
    at the scale |gain| / 127: no gain is rounded.

    Args:
        layer: A batch normalization that could not be folded, or a Rescaling.
        x: Symbolic tensor `[batch, ..., channels]`.
        name: Name of the new layer.
        names: The `Names` of the graph.
    """
    rank, channels = len(x.shape) - 1, x.shape[-1]
    gain, shift = (
        np.broadcast_to(np.float64(value), channels) for value in _of(layer)
    )
    convolution = FakeQuantKernel(
        keras.layers.DepthwiseConv2D(1, name=name, dtype="float32")
    )
    y = convolution(as_image(x, names.free(f"{name}_image")))
    codes = HIGHEST[8] * np.sign(gain).astype(int).reshape(1, 1, channels, 1)
    sizes = np.where(gain == 0, 1.0, np.abs(gain))
    scales = (sizes / HIGHEST[8]).astype(np.float32)
    convolution.set_codes(codes, scales, shift)
    return from_image(y, rank, names.free(f"{name}_flat"))


def _of(layer):
    if isinstance(layer, keras.layers.Rescaling):
        return layer.scale, layer.offset
    return gain_and_shift(layer)
