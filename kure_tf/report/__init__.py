"""Rows of measured accuracies, with provenance, and their presentation."""

from kure_tf.report.atomic import write_atomically
from kure_tf.report.margins import Margins, margins
from kure_tf.report.report import Report
from kure_tf.report.rows import Row, Run

__all__ = ["Margins", "Report", "Row", "Run", "margins", "write_atomically"]
