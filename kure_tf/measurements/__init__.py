"""Measurements: rows of what was measured, runs and reports, as values."""

from kure_tf.measurements.report import Report
from kure_tf.measurements.rows import Row, Run
from kure_tf.measurements.shard import Shard

__all__ = ["Report", "Row", "Run", "Shard"]
