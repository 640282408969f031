"""Where in a .tflite file scales of biases are products of other scales."""

import numpy as np

from kure_tf.export.flatbuffer import schema
from kure_tf.export.stored_file import opened

_SCALE = 8  # Of the field in the table of a quantization.
_INT32 = schema.TensorType.INT32


def scale_products(content) -> list[tuple[int, int, int, int]]:
    """Returns what need not be stored of a file: scales of biases.

        scales of the biases = scales of the kernel * scale of the input

    in float32.

    Args:
        content: The bytes of a file that `write` made.

    Returns:
        For each operator with a bias, positions of the first byte of scales of
        its kernel, its input and its bias, and how many bytes those of the
        kernel and of the bias have. Operators where the product is another
        are left out.

    Raises:
        ValueError: If `content` is no .tflite file, or a damaged one.
    """
    content = np.frombuffer(content, np.uint8)
    with opened(content.data) as model:
        graph = model.Subgraphs(0)
        found = [
            _places(graph, graph.Operators(number))
            for number in range(graph.OperatorsLength())
        ]
    found = [one for one in dict.fromkeys(found) if one is not None]
    return [one for one in found if _is_product(content, *one)]


def _places(graph, operator):
    """Returns the positions for an operator; None if it has no bias."""
    inputs = [operator.Inputs(n) for n in range(operator.InputsLength())]
    if len(inputs) < 3 or min(inputs) < 0:  # One that is left out is -1.
        return None
    if graph.Tensors(inputs[-1]).Type() != _INT32:
        return None
    # TRANSPOSE_CONV has its kernel in front of its input.
    *_, one, other, bias = map(graph.Tensors, inputs)
    tables = [tensor.Quantization() for tensor in (one, other, bias)]
    if not all(table and table.ScaleLength() for table in tables):
        return None
    if one.Buffer() == 0:
        tables[:2] = tables[1::-1]
    starts = [table._tab.Vector(table._tab.Offset(_SCALE)) for table in tables]
    return (*starts, 4 * tables[0].ScaleLength())


def _is_product(content, kernel, source, bias, size):
    scales, (scale,), found = (
        content[start:][:length].view("<f4")
        for start, length in ((kernel, size), (source, 4), (bias, size))
    )
    return np.array_equal(scales * scale, found)
