"""Whether a .tflite file holds what an integer graph says."""

import dataclasses

import numpy as np

from kure_tf.export.file_details import file_details
from kure_tf.export.stored_file import StoredFile
from kure_tf.export.write import write


@dataclasses.dataclass(frozen=True)
class FileCheck:
    """A file beside the graph that it should hold.

    Attributes:
        tensors: How many tensors were compared, constants among them.
        float_operators: How many operators compute in float; those that lead
            from and to float inputs and outputs do not count.
        differences: One sentence for each tensor or operator that differs.
    """

    tensors: int
    float_operators: int
    differences: tuple[str, ...]


def check_file(content, graph) -> FileCheck:
    """Compares a .tflite file with an integer graph, tensor by tensor.

    Names, types, shapes, scales, zero points, codes, biases, operators and
    their options, all to the last bit. Batch size and the type of the inputs
    may be either; metadata are not looked at.

    Args:
        content: The bytes of the file.
        graph: The `IntegerGraph` that it was written from.

    Raises:
        ValueError: If `content` is no .tflite file.
    """
    found = StoredFile(content)
    port = found.input_port()
    expected = StoredFile(
        write(
            graph,
            float_ports=port["type"] == "FLOAT32",
            batch_size=None if port["any_batch"] else port["shape"][0],
        )
    )
    return FileCheck(
        tensors=len(expected.tensors),
        float_operators=file_details(content)["float_ops"],
        differences=(
            *_differences("tensor", expected.tensors, found.tensors),
            *_differences("operator", expected.operators, found.operators),
        ),
    )


def _differences(what, expected, found):
    """Yields a sentence for each entry that is not the same in both lists."""
    if len(expected) != len(found):
        yield f"Expected {len(expected)} {what}s. The file has {len(found)}."
    for ours, theirs in zip(expected, found, strict=False):
        for field, value in ours.items():
            if not np.array_equal(value, theirs[field]):
                yield (
                    f"The {what} {ours['name']!r} differs in its {field}: "
                    f"{_seen(theirs[field], value)}."
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
