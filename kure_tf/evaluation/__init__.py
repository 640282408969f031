"""Evaluation: what a model or a file answers, and how good the answers are."""

from kure_tf.evaluation.evaluate import Measured, evaluate
from kure_tf.evaluation.evaluator import Evaluator
from kure_tf.evaluation.keras_runner import keras_runner
from kure_tf.evaluation.litert_runner import litert_runner
from kure_tf.evaluation.metrics import (
    cross_entropy,
    mean_absolute_error,
    mean_iou,
    metric,
    top_1,
    top_5,
)
from kure_tf.evaluation.model_loss import ModelLoss, loss_of
from kure_tf.evaluation.paired_error import paired_error
from kure_tf.evaluation.runner import Runner

__all__ = [
    "Evaluator",
    "Measured",
    "ModelLoss",
    "Runner",
    "cross_entropy",
    "evaluate",
    "keras_runner",
    "litert_runner",
    "loss_of",
    "mean_absolute_error",
    "mean_iou",
    "metric",
    "paired_error",
    "top_1",
    "top_5",
]
