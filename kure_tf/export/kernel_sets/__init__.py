"""What LiteRT's sets of kernels compute, to the last bit."""

from kure_tf.export.kernel_sets.built_in import BuiltIn
from kure_tf.export.kernel_sets.reference import Reference
from kure_tf.export.kernel_sets.xnnpack import XNNPack

KERNEL_SETS = {
    "xnnpack": XNNPack(),
    "builtin": BuiltIn(),
    "reference": Reference(),
}

RESOLVERS = {
    "xnnpack": "default",
    "builtin": "builtin",
    "reference": "reference",
}
"""Which resolver of the interpreter runs the kernels of that name."""

__all__ = ["KERNEL_SETS", "RESOLVERS", "BuiltIn", "Reference", "XNNPack"]
