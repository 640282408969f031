"""Where in a .tflite file the kernels of an integer graph lie."""

from kure_tf.export.stored_file import opened

_DATA = 4  # Of the field in the table of a buffer.


def kernel_places(content, graph) -> list[int]:
    """Returns the position of the first code of each kernel, in bytes.

    Args:
        content: The bytes of the file that `write` made of the graph.
        graph: The `IntegerGraph`.

    Returns:
        One for each linear operator, in their order; those of a layer that is
        used twice may be the same.

    Raises:
        ValueError: If `content` is no .tflite file, or a damaged one.
    """
    paths = {weights.path.encode() for weights in graph.weights.values()}
    with opened(content) as model:
        stored = model.Subgraphs(0)
        tensors = map(stored.Tensors, range(stored.TensorsLength()))
        return [
            _start(model.Buffers(tensor.Buffer())._tab)
            for tensor in tensors
            if tensor.Name() in paths
        ]


def _start(table):
    return table.Vector(table.Offset(_DATA))
