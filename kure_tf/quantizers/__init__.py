"""Quantizers: stateless descriptions of how one tensor is quantized."""

from kure_tf.quantizers.dorefa import (
    DoReFaActivationQuantizer,
    DoReFaWeightQuantizer,
)
from kure_tf.quantizers.lsq import LSQQuantizer
from kure_tf.quantizers.nested_lsq import NestedLSQQuantizer
from kure_tf.quantizers.positive import SMALLEST_STEP, Positive
from kure_tf.quantizers.quantizer import Quantizer, QuantizerState, shared_axes
from kure_tf.quantizers.uniform import UniformQuantizer

__all__ = [
    "SMALLEST_STEP",
    "DoReFaActivationQuantizer",
    "DoReFaWeightQuantizer",
    "LSQQuantizer",
    "NestedLSQQuantizer",
    "Positive",
    "Quantizer",
    "QuantizerState",
    "UniformQuantizer",
    "get",
    "shared_axes",
]


def get(name, **options):
    """Returns a new quantizer of the class of that name, such as "Uniform"."""
    for suffix in ("", "Quantizer"):
        if f"{name}{suffix}" in __all__:
            return globals()[f"{name}{suffix}"](**options)
    choices = [
        n for n in __all__ if n.endswith("Quantizer") and n != "Quantizer"
    ]
    raise ValueError(
        f"Expected the name of a quantizer, one of {choices}. "
        f"Received: {name!r}."
    )
