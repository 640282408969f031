"""Quantization-aware training inside tensorflow-model-optimization.

For tf_keras models, in a process of either Keras.
"""

from kure_tf.qat.tfmot.configs import (
    DoReFaQuantizeConfig,
    HostedQuantizeConfig,
    LSQQuantizeConfig,
)
from kure_tf.qat.tfmot.engine import quantize_with_tfmot
from kure_tf.qat.tfmot.flatten import flatten
from kure_tf.qat.tfmot.scheme import KureQuantizeScheme
from kure_tf.qat.tfmot.scope import quantize_scope

__all__ = [
    "DoReFaQuantizeConfig",
    "HostedQuantizeConfig",
    "KureQuantizeScheme",
    "LSQQuantizeConfig",
    "flatten",
    "quantize_scope",
    "quantize_with_tfmot",
]
