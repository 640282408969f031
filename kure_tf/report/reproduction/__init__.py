"""The paper's tables and figures beside our measurements of them."""

from kure_tf.report.reproduction.experiments import (
    NAMES,
    SCALES,
    Experiment,
    get,
)
from kure_tf.report.reproduction.files import save, save_index
from kure_tf.report.reproduction.outcome import Outcome, collect
from kure_tf.report.reproduction.part import Part

__all__ = [
    "NAMES",
    "SCALES",
    "Experiment",
    "Outcome",
    "Part",
    "collect",
    "get",
    "save",
    "save_index",
]
