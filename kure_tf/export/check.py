"""Whether a .tflite file holds what an integer graph says."""

import dataclasses

import numpy as np

from kure_tf.export.file_details import file_details
from kure_tf.export.stored_file import StoredFile, opened
from kure_tf.export.write import write


@dataclasses.dataclass(frozen=True)
class FileCheck:
    """A file beside the graph that it should hold.

    Attributes:
        tensors: How many tensors were compared, constants among them.
        kernels: How many of them are kernels.
        equal_kernels: How many kernels have the graph's codes, scales and
            biases, to the last bit.
        float_operators: How many operators compute in float; those that lead
            from and to float inputs and outputs do not count.
        float_layers: Names of the layers that the graph leaves in float.
        differences: One sentence for each tensor, operator, subgraph or
            signature that differs.
    """

    tensors: int
    kernels: int
    equal_kernels: int
    float_operators: int
    float_layers: tuple[str, ...]
    differences: tuple[str, ...]


def check_file(content, graph, *, signature="serving_default") -> FileCheck:
    """Compares a .tflite file with an integer graph, tensor by tensor.

    Names, types, shapes, scales and their dimension, zero points, codes,
    biases, operators and their options, all to the last bit; which tensors are
    the inputs and outputs of the file and of its signature. Batch size and the
    type of the inputs may be either; metadata are not looked at.

    Args:
        content: The bytes of the file.
        graph: The `IntegerGraph` that it was written from.
        signature: The name of the signature that `write` was given.

    Raises:
        TypeError: If `content` is something else than bytes, such as a path,
            or `graph` is no `IntegerGraph`.
        ValueError: If `content` is no .tflite file, or a damaged one.
    """
    found = StoredFile(content)
    port = found.input_port()
    with opened(content):
        details = file_details(content)
    expected = StoredFile(
        write(
            graph,
            float_ports=found.has_float_ports,
            batch_size=None if port["any_batch"] else port["shape"][0],
            signature=signature,
        )
    )
    tensors = [*_differences("tensor", expected.tensors, found.tensors)]
    others = [
        *_differences("operator", expected.operators, found.operators),
        *_differences("subgraph", expected.ports, found.ports),
        *_differences("signature", expected.signatures, found.signatures),
    ]
    kernels = [weights.path for weights in graph.weights.values()]
    differing = {name for name, _ in tensors}
    return FileCheck(
        tensors=len(expected.tensors),
        kernels=len(kernels),
        equal_kernels=sum(
            differing.isdisjoint([path, f"{path}/bias"]) for path in kernels
        ),
        float_operators=details["float_ops"],
        float_layers=graph.float_layers,
        differences=tuple(text for _, text in (*tensors, *others)),
    )


def _differences(what, expected, found):
    """Yields name and sentence of each entry that the lists differ in."""
    if len(expected) != len(found):
        counts = f"Expected {len(expected)} {what}s. The file has {len(found)}."
        yield "", counts
    for ours, theirs in zip(expected, found, strict=False):
        for field, value in ours.items():
            if not np.array_equal(value, theirs[field]):
                yield (
                    ours["name"],
                    f"The {what} {ours['name']!r} differs in its {field}: "
                    f"{_seen(theirs[field], value)}.",
                )


def _seen(found, expected):
    if np.size(found) == np.size(expected) > 8:
        found, expected = np.ravel(found), np.ravel(expected)
        places = np.flatnonzero(found != expected)
        return (
            f"{places.size} of {expected.size} numbers, the first "
            f"{found[places[0]]} in place of {expected[places[0]]}"
        )
    return f"{found} in place of {expected}"
