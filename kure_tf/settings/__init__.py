"""Settings: all that puts a model at an operating point, as values."""

from kure_tf.settings.batch_norm import BatchNormStatistics
from kure_tf.settings.bias_correction import BiasCorrection
from kure_tf.settings.nested_weights import NestedWeights
from kure_tf.settings.operating_point import OperatingPoint
from kure_tf.settings.pattern import all_points, points
from kure_tf.settings.rounded_weights import RoundedWeights
from kure_tf.settings.setting import Setting
from kure_tf.settings.step_sizes import StepSizes, TensorStep

__all__ = [
    "BatchNormStatistics",
    "BiasCorrection",
    "NestedWeights",
    "OperatingPoint",
    "RoundedWeights",
    "Setting",
    "StepSizes",
    "TensorStep",
    "all_points",
    "points",
]
