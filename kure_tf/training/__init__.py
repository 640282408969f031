"""Training of Keras models on image-classification data sets."""

from kure_tf.training.distillation import DistillationModel
from kure_tf.training.fit import CHECKPOINT_NAME, TrainingResult, fit
from kure_tf.training.frozen_batch_norm import frozen_batch_norm
from kure_tf.training.kurtosis_monitor import KurtosisMonitor
from kure_tf.training.kurtosis_ramp import KurtosisRamp
from kure_tf.training.recipe import Recipe
from kure_tf.training.replicas import is_chief

__all__ = [
    "CHECKPOINT_NAME",
    "DistillationModel",
    "KurtosisMonitor",
    "KurtosisRamp",
    "Recipe",
    "TrainingResult",
    "fit",
    "frozen_batch_norm",
    "is_chief",
]
