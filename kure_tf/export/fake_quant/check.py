"""Whether a converted file holds the codes of an integer graph."""

import dataclasses

import numpy as np

from kure_tf.export.fake_quant.file_kernels import file_kernels
from kure_tf.export.fake_quant.storable import storable
from kure_tf.export.file_details import file_details
from kure_tf.integer_graph import Quantization, Weights

_TOLERANCE = 1e-6  # Relative; a few last bits of float32.
_WAY_OUT = (
    "Convert fake_quant_model(graph) with optimizations="
    "[tf.lite.Optimize.DEFAULT] and without a representative data set, which "
    "would bring scales of its own."
)


@dataclasses.dataclass(frozen=True)
class ConvertedFile:
    """What was found in a file that passed `check_converted_file`.

    Attributes:
        size: Bytes.
        kernels: `{kernel path: "int8" or "int4"}`; their codes are ours.
        exact: How many of the kernels have our scales and biases, and the
            scale of our input, to the last bit; the others have them to one
            part in a million.
    """

    size: int
    kernels: dict
    exact: int


def check_converted_file(content, graph) -> ConvertedFile:
    """Checks a file that the converter made of `fake_quant_model(graph)`.

    Every kernel of the graph has to be in the file, with its codes, scales and
    biases, and with the scale and zero point of its input.

    Args:
        content: The bytes of the file.
        graph: The `IntegerGraph`.

    Raises:
        ValueError: If a kernel is not in the file, or has other scales, or
            operators are in float; it is named.
    """
    details = file_details(content)
    if details["float_ops"]:
        raise ValueError(
            "Expected integer operators only. The converter left some in "
            f"float: {details['float_op_names']}. {_WAY_OUT}"
        )
    left = file_kernels(content)
    containers, exact = {}, 0
    for ours in _kernels_of(graph):
        path = ours.weights.path
        kernels = [one for one in left if _has_codes(one, ours)]
        if not kernels:
            raise ValueError(
                f"Expected the codes of {path!r} in the file of "
                f"{graph.name!r}. No operator of it has them. {_WAY_OUT}"
            )
        kernel = min(kernels, key=lambda one: len(_differences(one, ours)))
        if wrong := _differences(kernel, ours):
            raise ValueError(
                f"Expected our numbers beside the codes of {path!r}. In the "
                f"file, its {', its '.join(wrong)}. {_WAY_OUT}"
            )
        left.remove(kernel)
        containers[path] = kernel.container
        exact += not _differences(kernel, ours, 0.0)
    return ConvertedFile(details["size"], containers, exact)


@dataclasses.dataclass(frozen=True, eq=False)
class _Kernel:
    weights: Weights
    x: Quantization


def _kernels_of(graph):
    for operator in graph.operators:
        if operator.weights is not None:
            x = graph.quantization(operator.inputs[0])
            yield _Kernel(storable(operator.weights, x.scale), x)


def _has_codes(kernel, ours):
    return np.array_equal(kernel.codes, ours.weights.codes.reshape(-1))


def _differences(kernel, ours, tolerance=_TOLERANCE):
    """Returns what is not the same in a file's kernel and ours."""
    weights = ours.weights
    pairs = {
        "scales": (kernel.scales, weights.scales),
        "biases": (_or_zeros(kernel.biases), np.float64(weights.biases)),
        "input scale": (kernel.input_scale, ours.x.scale),
        "input zero point": (kernel.input_zero_point, ours.x.zero_point),
    }
    return [
        f"{name} is {there} in place of {mine}"
        for name, (there, mine) in pairs.items()
        if not np.allclose(there, mine, rtol=tolerance, atol=0.0)
    ]


def _or_zeros(biases):
    return 0.0 if biases is None else np.float64(biases).reshape(-1)
