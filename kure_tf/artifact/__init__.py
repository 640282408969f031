"""Artifacts: one .kure file for all bit-widths.

* `pack`: a model at several points of nested weights as one file.
* `materialize`: of it the .tflite file of one point, to the last bit, without
  TensorFlow; `points`: which there are.
* `verify_artifact`: each of these files run beside what was foretold.
"""

from kure_materialize import materialize, points
from kure_tf.artifact.pack import pack
from kure_tf.artifact.verify import VerifiedFile, verify_artifact

__all__ = ["VerifiedFile", "materialize", "pack", "points", "verify_artifact"]
