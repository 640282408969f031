"""KURE, what is needed to attach it to a model, and its rival."""

from kure_tf.regularizers.activity import KurtosisActivityRegularization
from kure_tf.regularizers.attach import choose_kernels, regularize_kurtosis
from kure_tf.regularizers.gradient_l1 import GradientL1Model
from kure_tf.regularizers.kurtosis import KurtosisRegularizer
from kure_tf.regularizers.sum import SumRegularizer

__all__ = [
    "GradientL1Model",
    "KurtosisActivityRegularization",
    "KurtosisRegularizer",
    "SumRegularizer",
    "choose_kernels",
    "regularize_kurtosis",
]
