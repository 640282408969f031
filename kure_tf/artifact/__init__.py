"""Artifacts: one .kure file for all bit-widths.

* `pack`: a model at several points of nested weights as one file.
* `materialize`: of it the .tflite file of one point, to the last bit, without
  TensorFlow; `points`: which there are.
* `graph_at`, `metadata_at`: what the file of one setting is written from.
"""

from kure_materialize import materialize, points
from kure_tf.artifact.pack import graph_at, metadata_at, pack

__all__ = ["graph_at", "materialize", "metadata_at", "pack", "points"]
