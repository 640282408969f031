"""Keras regularizers: KURE, and what is needed to attach it to a model."""

from kure_tf.regularizers.activity import KurtosisActivityRegularization
from kure_tf.regularizers.attach import (
    choose_kernels,
    regularize_kurtosis,
)
from kure_tf.regularizers.kurtosis import KurtosisRegularizer
from kure_tf.regularizers.sum import SumRegularizer

__all__ = [
    "KurtosisActivityRegularization",
    "KurtosisRegularizer",
    "SumRegularizer",
    "choose_kernels",
    "regularize_kurtosis",
]
