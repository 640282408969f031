"""A file of a fake-quantized model, with the model's codes."""

from kure_tf import compat
from kure_tf.export.converter import converted
from kure_tf.export.stored_codes import with_codes
from kure_tf.export.write import write
from kure_tf.fake_quantized import (
    integer_weights,
    kernels_in,
    quantizers_of,
    strip_quantizers,
)
from kure_tf.integer_graph import to_integer_graph, with_container
from kure_tf.integer_graph.kernels import codes_and_steps
from kure_tf.settings.operating_point import FP


def file_with_codes(model, images, mode, container, batch_size):
    """Returns the bytes of a file, and what the converter printed.

    Args:
        model: A fake-quantized model at an operating point.
        images: Calibration images, for mode "exact".
        mode: "exact", "weight_only", "dynamic_range" or "float"; see
            `to_tflite`.
        container: Bits that the file gives each code where they fit.
        batch_size: Fixed in the file; None for any.

    Raises:
        ValueError: If the mode does not hold the point, or as
            `to_integer_graph`, `converted` and `with_codes`.
    """
    if mode == "exact":
        graph = with_container(to_integer_graph(model, [images]), container)
        return write(graph, batch_size=batch_size), ""
    _check_float_activations(model, mode)
    copy = compat.in_float32(_with_values_of_codes(model))
    shape = [batch_size, *model.inputs[0].shape[1:]]
    content, log = converted(copy, shape, None, "float")
    if mode != "float":
        content = with_codes(
            content,
            _codes(model),
            container=container,
            dequantized=mode == "weight_only",
        )
    return content, log


def _with_values_of_codes(model):
    """Returns the float model whose kernels are those of the codes."""
    copy, found = strip_quantizers(model), integer_weights(model)
    for path, variable in kernels_in(copy):
        if path in found:
            variable.assign(found[path].to_float())
    return copy


def _codes(model):
    """Returns `{kernel path: integers}` of what is quantized."""
    return {
        path: codes_and_steps(tensor)[0]
        for path, tensor in quantizers_of(model).items()
        if tensor.kind == "weight" and not _in_float(tensor)
    }


def _in_float(tensor):
    return compat.to_numpy(tensor.state.bits) == FP


def _check_float_activations(model, mode):
    quantized = [
        path
        for path, tensor in quantizers_of(model).items()
        if tensor.kind != "weight" and not _in_float(tensor)
    ]
    if quantized:
        raise ValueError(
            "Expected a point with activations in float, such as '4/FP': "
            f"files of mode {mode!r} have no others. Received: {model.name!r} "
            f"with {len(quantized)} quantized ones, {quantized[0]!r} first. "
            "Set such a point, or take mode='exact', which holds both."
        )
