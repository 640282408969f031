"""The converter route: FakeQuant operators on kure_tf's own grids.

* `fake_quant_model`: a plain Keras model that TFLite's converter turns into a
  file with the codes of an integer graph.
* `check_converted_file`: whether such a file has them.
"""

from kure_tf.export.fake_quant.check import (
    ConvertedFile,
    check_converted_file,
)
from kure_tf.export.fake_quant.fake_quant import FakeQuant
from kure_tf.export.fake_quant.fake_quant_linear import FakeQuantLinear
from kure_tf.export.fake_quant.float_operator import FloatOperator
from kure_tf.export.fake_quant.model import fake_quant_model

__all__ = [
    "ConvertedFile",
    "FakeQuant",
    "FakeQuantLinear",
    "FloatOperator",
    "check_converted_file",
    "fake_quant_model",
]
