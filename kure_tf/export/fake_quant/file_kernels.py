"""The kernels in a .tflite file."""

import dataclasses

import numpy as np

from kure_tf.export.stored_file import StoredFile

# Operators with a kernel: the places of activation, kernel and bias among their
# inputs, and the axes of the kernel in the order of Keras.
_LINEAR = {
    "CONV_2D": ((0, 1, 2), (1, 2, 3, 0)),
    "DEPTHWISE_CONV_2D": ((0, 1, 2), (0, 1, 2, 3)),
    "FULLY_CONNECTED": ((0, 1, 2), (1, 0)),
    "TRANSPOSE_CONV": ((2, 1, 3), (1, 2, 0, 3)),
}


@dataclasses.dataclass(frozen=True, eq=False)
class FileKernel:
    """The kernel of one operator of a file, in integers.

    Attributes:
        container: "int8" or "int4".
        codes: Flat integers in the order in which Keras has them.
        scales: Float32 `[1]` or `[channels]`.
        biases: int32 `[channels]`; None if there are none.
        input_scale, input_zero_point: Of the operator's input.
    """

    container: str
    codes: np.ndarray
    scales: np.ndarray
    biases: np.ndarray | None
    input_scale: float
    input_zero_point: int


def file_kernels(content) -> list[FileKernel]:
    """Returns the constant integer kernels of a file, operator by operator."""
    file = StoredFile(content)
    tensors = {tensor["name"]: tensor for tensor in file.tensors}
    found = []
    for operator in file.operators:
        if operator["kind"] in _LINEAR:
            places, axes = _LINEAR[operator["kind"]]
            names = [*operator["inputs"], ""]
            x, kernel, bias = (tensors.get(names[i]) for i in places)
            if kernel["values"] is not None and _in_integers(x, kernel):
                found.append(_kernel(x, kernel, bias, axes))
    return found


def _in_integers(*tensors):
    return all(tensor["type"] in ("INT8", "INT4") for tensor in tensors)


def _kernel(x, kernel, bias, axes):
    codes = kernel["values"]
    if kernel["type"] == "INT4":  # Two in a byte, the first in its low half.
        codes = np.stack([codes << 4, codes], 1).view(np.int8) >> 4
    codes = codes.reshape(-1)[: int(np.prod(kernel["shape"]))]
    return FileKernel(
        container=kernel["type"].lower(),
        codes=codes.reshape(kernel["shape"]).transpose(axes).reshape(-1),
        scales=kernel["scales"],
        biases=None if bias is None else bias["values"],
        input_scale=float(x["scales"][0]),
        input_zero_point=int(x["zero points"][0]),
    )
