"""Embeddings in integer operators."""

from kure_tf import compat
from kure_tf.fake_quantized.tensors import QuantizedTensor
from kure_tf.integer_graph.kernels import table_quantization


def embedding(call):
    """Adds the rows of a table, at indices that the model is given.

    A table of one step size keeps its codes. One with a step size for each row
    gets 8 bits over all: a tensor of LiteRT's has one scale.
    """
    call.reads_indices()  # Raises where a layer makes them.
    (kernel,) = compat.kernels_of(call.inner)
    table = QuantizedTensor(
        **vars(call.hosted[kernel.name]), path=call.name, layer=call.layer
    )
    return call.add(
        "GATHER",
        call.inputs,
        call.compute,
        kernel=kernel.name,
        quantization=table_quantization(table),
    )
