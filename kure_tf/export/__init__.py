"""LiteRT (TFLite) files: converting, verifying, writing.

* `to_tflite`: a Keras model as a TFLite file in memory.
* `verify`: that file beside the Keras model, over a whole split.
* `export_tflite`: both, and the file written if it passed.

The step sizes in these files are those of TFLite's converter; every result
says so (`step_size_source`).
"""

from kure_tf.export.tflite import TFLiteModel, to_tflite
from kure_tf.export.verification import Verification, VerificationError
from kure_tf.export.verified_file import export_tflite
from kure_tf.export.verify import verify

__all__ = [
    "TFLiteModel",
    "Verification",
    "VerificationError",
    "export_tflite",
    "to_tflite",
    "verify",
]
