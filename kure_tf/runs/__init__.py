"""Runs: what the tools do with a folder, for Python.

Each goes on where it was if it is killed and called again.
"""

from kure_tf.runs.calibrate import calibrate
from kure_tf.runs.compare import compare
from kure_tf.runs.dataset import load_dataset
from kure_tf.runs.distribution import strategy_named
from kure_tf.runs.export import export
from kure_tf.runs.export_artifact import export_artifact
from kure_tf.runs.export_exact import export_exact
from kure_tf.runs.folder import run_folder
from kure_tf.runs.kure import Kure
from kure_tf.runs.metric import load_metric
from kure_tf.runs.model import (
    load_model,
    load_saved_model,
    save_model,
    training_record,
)
from kure_tf.runs.nested_search import NestedSearch
from kure_tf.runs.qat import Qat
from kure_tf.runs.sweep import measure, sweep
from kure_tf.runs.train import train, train_seeds

__all__ = [
    "Kure",
    "NestedSearch",
    "Qat",
    "calibrate",
    "compare",
    "export",
    "export_artifact",
    "export_exact",
    "load_dataset",
    "load_metric",
    "load_model",
    "load_saved_model",
    "measure",
    "run_folder",
    "save_model",
    "strategy_named",
    "sweep",
    "train",
    "train_seeds",
    "training_record",
]
