"""The paper's tables and figures beside our measurements of them."""

from kure_tf.paper.experiments.experiments import NAMES, SCALES, Experiment, get
from kure_tf.paper.experiments.files import load, save, save_index, to_json
from kure_tf.paper.experiments.outcome import Outcome, collect
from kure_tf.paper.experiments.panel import Panel

__all__ = [
    "NAMES",
    "SCALES",
    "Experiment",
    "Outcome",
    "Panel",
    "collect",
    "get",
    "load",
    "save",
    "save_index",
    "to_json",
]
