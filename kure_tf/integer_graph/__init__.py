"""A fake-quantized model as integers: codes, scales, zero points, biases."""

from kure_tf.integer_graph.containers import with_container
from kure_tf.integer_graph.graph import (
    IntegerGraph,
    Operator,
    Quantization,
    Tensor,
    Weights,
    check_graph,
)
from kure_tf.integer_graph.to_integer_graph import to_integer_graph

__all__ = [
    "IntegerGraph",
    "Operator",
    "Quantization",
    "Tensor",
    "Weights",
    "check_graph",
    "to_integer_graph",
    "with_container",
]
