"""Layers that are a gain and a shift: what is folded, where it can be."""

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.fake_quantized import gain_and_shift


def batch_norm(call):
    """Adds batch normalization, as it is in inference."""
    _check_axis(call)
    gain, shift = gain_and_shift(call.inner)
    x = call.inputs[:1]  # Without its mask, which counts in training alone.
    return call.add("AFFINE", x, call.compute, gain=gain, shift=shift)


def rescaling(call):
    """Adds a Rescaling."""
    layer = call.inner
    return _affine(call, np.asarray(layer.scale), np.asarray(layer.offset))


def normalization(call):
    """Adds a Normalization by given or adapted moments."""
    _check_axis(call)
    layer = call.inner
    if getattr(layer, "invert", False):
        call.refuse("it is inverted.")
    mean, variance = np.asarray(layer.mean), np.asarray(layer.variance)
    gain = 1.0 / np.maximum(np.sqrt(np.float64(variance)), 1e-7)
    return _affine(call, gain, -mean * gain)


def _check_axis(call):
    """Refuses what scales another axis than the last one."""
    last = len(call.tensors[0].shape) - len(call.times) - 1
    axes = [] if call.inner.axis is None else np.ravel(call.inner.axis)
    if any(axis not in (-1, last) for axis in axes):
        call.refuse(
            "LiteRT has channels last. Received: axis="
            f"{call.inner.axis} of {last + 1}."
        )


def _affine(call, gain, shift):
    """Adds gain * x + shift, one for all channels or one for each."""
    gain, shift = (np.float64(one).reshape(-1) for one in (gain, shift))
    if gain.size == shift.size == 1:
        gain, shift = gain[0], shift[0]
    return call.add("AFFINE", call.inputs, call.compute, gain=gain, shift=shift)


def layer_scale(call):
    """The gain per channel of ConvNeXt's blocks."""
    gain = np.float64(compat.to_numpy(call.inner.gamma))
    return _affine(call, gain, 0.0 * gain)


def scaled_sum(call):
    """x + scale * y: the blocks of Inception-ResNet."""
    x, y = call.inputs
    y = call.affine(y, float(call.inner.scale))
    return call.add("ADD", [x, y], tf.add)
