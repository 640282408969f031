"""Evaluation: what a model answers, and how good the answers are."""

from kure_tf.evaluation.evaluate import Evaluator
from kure_tf.evaluation.paired_error import paired_error

__all__ = ["Evaluator", "paired_error"]
