"""Whether a converted file holds the codes of a fake-quantized model."""

import dataclasses

import numpy as np

from kure_tf.export.fake_quant.file_kernels import file_kernels
from kure_tf.export.fake_quant.linear import linears_of
from kure_tf.export.file_details import file_details

_TOLERANCE = 1e-6  # Relative; a few last bits of float32.
_WAY_OUT = (
    "Convert fake_quant_model(model, ...) with optimizations="
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
        float_ops: `{operator: how often}` of those in float.
    """

    size: int
    kernels: dict
    exact: int
    float_ops: dict


def check_converted_file(
    content, model, *, container="int8", allow_others=False
) -> ConvertedFile:
    """Checks a file that the converter made of `fake_quant_model(model)`.

    Every kernel that is quantized in `model` has to be in the file, with the
    codes of `integer_weights(model)` (with the sign of the batch normalization
    behind), its scales, and the scale and zero point of the layer's input.

    Args:
        content: The bytes of the file.
        model: The fake-quantized model, at the operating point that the file
            was made at.
        container, allow_others: As given to `fake_quant_model`.

    Raises:
        ValueError: If a kernel is not in the file, or has other scales, or
            operators are in float that may not be; it is named.
    """
    details = file_details(content)
    if details["float_ops"] and not allow_others:
        raise ValueError(
            "Expected integer operators only. The converter left some in "
            f"float: {details['float_op_names']}. {_WAY_OUT}"
        )
    left = file_kernels(content)
    found = {}
    for linear in linears_of(model, container, allow_others).values():
        path = linear.folded.path
        kernels = [one for one in left if _has_codes(one, linear)]
        if not kernels:
            raise ValueError(
                f"Expected the codes of {path!r} in the file of "
                f"{model.name!r}. No operator of it has them. {_WAY_OUT}"
            )
        kernel = min(kernels, key=lambda one: len(_differences(one, linear)))
        if wrong := _differences(kernel, linear):
            raise ValueError(
                f"Expected our numbers beside the codes of {path!r}. In the "
                f"file, its {', its '.join(wrong)}. {_WAY_OUT}"
            )
        left.remove(kernel)
        found[path] = kernel, linear
    return ConvertedFile(
        size=details["size"],
        kernels={path: one.container for path, (one, _) in found.items()},
        exact=sum(
            not _differences(kernel, linear, 0.0)
            for kernel, linear in found.values()
        ),
        float_ops=details["float_op_names"],
    )


def _has_codes(kernel, linear):
    return np.array_equal(kernel.codes, linear.folded.codes.reshape(-1))


def _differences(kernel, linear, tolerance=_TOLERANCE):
    """Returns what is not the same in a file's kernel and ours."""
    folded, grid = linear.folded, linear.grid
    pairs = {
        "scales": (kernel.scales, folded.scales),
        "biases": (_or_zeros(kernel.biases), _or_zeros(folded.biases)),
        "input scale": (kernel.input_scale, grid.scale),
        "input zero point": (kernel.input_zero_point, grid.zero_point),
    }
    return [
        f"{name} is {there} in place of {ours}"
        for name, (there, ours) in pairs.items()
        if not np.allclose(there, ours, rtol=tolerance, atol=0.0)
    ]


def _or_zeros(biases):
    return 0.0 if biases is None else np.float64(biases).reshape(-1)
