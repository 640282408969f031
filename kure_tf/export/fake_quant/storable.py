"""Kernels as TFLite's converter can store them."""

import dataclasses

import numpy as np

from kure_tf.export.fake_quant.fake_quant_linear import HIGHEST

# The converter takes no range narrower than this; a little is for rounding.
_NARROWEST = 1e-6 * (1 + 2.0**-16)


def storable(weights, x_scale):
    """Returns `Weights` with scales that the converter does not change.

    It stores none below 4e-9. A channel that training left almost nothing of
    may need less: it gets the smallest that can be stored, with its own codes,
    and biases in the new unit.

    Args:
        weights: `Weights` of an operator.
        x_scale: Scale of its input.
    """
    smallest = np.float32(_NARROWEST / (2 * HIGHEST[weights.container]))
    scales = np.maximum(weights.scales, smallest)
    ratio = weights.scales.astype(np.float64) / scales
    biases = np.rint(weights.biases * ratio).astype(np.int32)
    return dataclasses.replace(weights, scales=scales, biases=biases)
