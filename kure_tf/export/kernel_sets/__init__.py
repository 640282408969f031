"""What LiteRT's sets of kernels compute, to the last bit."""

from kure_tf.export.kernel_sets.built_in import BuiltIn
from kure_tf.export.kernel_sets.reference import Reference
from kure_tf.export.kernel_sets.xnnpack import XNNPack

KERNEL_SETS = {
    "xnnpack": XNNPack(),
    "builtin": BuiltIn(),
    "reference": Reference(),
}

__all__ = ["KERNEL_SETS", "BuiltIn", "Reference", "XNNPack"]
