"""LiteRT (TFLite) files: converting, verifying, writing.

* `to_tflite`: a Keras model as a TFLite file in memory.
* `verify`: that file beside the Keras model, over a whole split.
* `export_tflite`: both, and the file written if it passed.

The step sizes in these files are those of TFLite's converter; every result
says so (`step_size_source`). Files with a fake-quantized model's own codes:

* `to_integer_graph`: the model as operators on int8 tensors, plain data.
* `write`: that as a .tflite file; `with_container` says in how many bits.
* `simulate`: what a device answers, to the last bit; `integer_runner` asks it
  as `evaluate` and sweeps ask a model.
* `check_file`: a file beside the graph, tensor by tensor.
* `export_exact`: all of it, and the file written if it answers as foretold.
* `FileMetadata`: what a file says of itself; `file_note` reads it back.
* `materialize`: the file of one bit-width of what `kure_tf.artifact` packed.
* `c_array`: a file as C source; `vela_report`: what an Ethos-U runs of it.

The same codes by your own `tf.lite.TFLiteConverter`:

* `fake_quant_model`: the graph as a Keras model, for the converter.
* `check_converted_file`: whether the converter's file has the codes.
"""

from kure_materialize import materialize
from kure_tf.export.c_array import c_array
from kure_tf.export.check import FileCheck, check_file
from kure_tf.export.exact import export_exact
from kure_tf.export.exact_verification import Answers, ExactVerification
from kure_tf.export.fake_quant import (
    ConvertedFile,
    check_converted_file,
    fake_quant_model,
)
from kure_tf.export.file_metadata import FileMetadata, file_note
from kure_tf.export.simulate import Simulation, integer_runner, simulate
from kure_tf.export.tflite import TFLiteModel, to_tflite
from kure_tf.export.vela import VelaReport, vela_report
from kure_tf.export.verification import Verification, VerificationError
from kure_tf.export.verified_file import export_tflite
from kure_tf.export.verify import verify
from kure_tf.export.write import write
from kure_tf.integer_graph import (
    IntegerGraph,
    to_integer_graph,
    with_container,
)

__all__ = [
    "Answers",
    "ConvertedFile",
    "ExactVerification",
    "FileCheck",
    "FileMetadata",
    "IntegerGraph",
    "Simulation",
    "TFLiteModel",
    "VelaReport",
    "Verification",
    "VerificationError",
    "c_array",
    "check_converted_file",
    "check_file",
    "export_exact",
    "export_tflite",
    "fake_quant_model",
    "file_note",
    "integer_runner",
    "materialize",
    "simulate",
    "to_integer_graph",
    "to_tflite",
    "vela_report",
    "verify",
    "with_container",
    "write",
]
