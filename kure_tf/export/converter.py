"""TFLite's own converter, and what it says when it refuses."""

import contextlib

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.data.ports import input_ports
from kure_tf.evaluation.captured_output import captured_output

CALIBRATION_BATCH = 16
"""Images per call while the converter looks at activations.

Larger batches gain little time and hold every activation in memory.
"""


def converted(model, shape, images, mode):
    """Returns the bytes of a file and what the converter printed.

    Args:
        model: A float32 model of one input and one output.
        shape: Shape of its input; the batch size may be None.
        images: Calibration images, for the modes of integers.
        mode: "converter_int8", "converter_16x8", "dynamic_range", "float16" or
            "float"; see `to_tflite`.

    Raises:
        ValueError: If the converter refuses the model.
    """
    with captured_output() as text:
        try:
            module, function = _traced(model, shape)
            if not (mode.startswith("converter_") and _has_loop(function)):
                converter = tf.lite.TFLiteConverter.from_concrete_functions(
                    [function], module
                )
                _configure(converter, images, shape[0], mode)
                return converter.convert(), text()
        # The converter raises its own class, and more than that one.
        except Exception as error:
            raise ValueError(
                f"The TFLite converter refused the model {model.name!r} in "
                f"mode {mode!r}. It says:\n"
                + "\n".join(_error_lines(f"{text()}\n{error}"))
                + "\nReplace the layer, fix the batch size (batch_size=1), or "
                "try another mode."
            ) from error
    # TensorFlow would end the process, without a word.
    raise ValueError(
        "Expected a model without loops, which the converter cannot make of "
        f"integers. Received: {model.name!r}, which has one, such as that of a "
        "recurrent layer of your own. Unroll it, or try "
        'mode="dynamic_range".'
    )


def _traced(model, shape):
    """Returns a module of a model's inference, and its concrete function.

    This path, and not `from_keras_model`, because it is the same in both
    Kerases, several times faster, leaves the model as it was, and does not
    fail on the name of a tensor. Keras 3 hides its variables from TensorFlow,
    so the module has to hold them.
    """
    module = tf.Module()
    ports = input_ports(model)

    def serve(image):
        inputs = tf.nest.pack_sequence_as(ports, [image])
        return {"output": model(inputs, training=False)}

    (port,) = tf.nest.flatten(ports)
    module.serve = tf.function(
        serve, input_signature=[tf.TensorSpec(shape, port.dtype, "image")]
    )
    with contextlib.ExitStack() as stack:
        if None not in shape[1:]:  # The converter has few loops.
            for _, layer in compat.layers_of(model):
                stack.enter_context(compat.step_by_step(layer, unrolled=True))
        function = module.serve.get_concrete_function()
    module.variables_of_model = list(function.variables)
    return module, function


def _has_loop(function):
    kinds = {operation.type for operation in function.graph.get_operations()}
    return bool(kinds & {"While", "StatelessWhile"})


def _configure(converter, images, batch_size, mode):
    if mode == "float":
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if mode == "dynamic_range":
        return
    if mode == "float16":
        converter.target_spec.supported_types = [tf.float16]
        return
    converter.representative_dataset = lambda: _batched(
        images, batch_size or CALIBRATION_BATCH, padded=batch_size is not None
    )
    sets = tf.lite.OpsSet
    wide = mode == "converter_16x8"
    integers = (
        sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        if wide
        else sets.TFLITE_BUILTINS_INT8
    )
    converter.target_spec.supported_ops = [integers, sets.TFLITE_BUILTINS]
    converter.inference_input_type = tf.int16 if wide else tf.int8
    converter.inference_output_type = converter.inference_input_type


def _batched(images, size, *, padded):
    for start in range(0, len(images), size):
        index = np.arange(start, start + size)
        # Images that come twice change neither minimum nor maximum.
        index = index % len(images) if padded else index[index < len(images)]
        yield [images[index]]


def _error_lines(text, limit=8):
    """Returns the distinct lines that name an error, without source places."""
    lines = []
    for line in text.splitlines():
        # One line may hold a call stack of thousands of characters before it.
        line = line[line.rfind("error: ") :] if "error: " in line else line
        if "error" in line.lower() and line.strip() not in lines:
            lines.append(line.strip()[:400])
    return lines[:limit] or text.strip().splitlines()[-limit:]
