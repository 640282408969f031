"""Quantization-aware training: LSQ and DoReFa, natively or through tfmot."""

from kure_tf.qat.apply import quantize_aware
from kure_tf.qat.methods import METHODS
from kure_tf.qat.nested_weights import nested_weights
from kure_tf.qat.sampled_precision import SampledPrecision
from kure_tf.qat.to_tf_keras import to_tf_keras

__all__ = [
    "METHODS",
    "SampledPrecision",
    "nested_weights",
    "quantize_aware",
    "to_tf_keras",
]
