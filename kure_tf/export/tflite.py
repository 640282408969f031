"""Converting Keras models to TFLite files."""

import dataclasses

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.data.batches import batches_of
from kure_tf.data.ports import input_ports
from kure_tf.data.sources import name_of
from kure_tf.evaluation.captured_output import captured_output
from kure_tf.export.file_details import file_details
from kure_tf.fake_quantized import hosted_tensors

MODES = ("int8", "dynamic_range", "float")

# Images per call while the converter looks at activations. Larger batches
# gain little time and hold every activation of the batch in memory.
_CALIBRATION_BATCH = 16


@dataclasses.dataclass(frozen=True)
class TFLiteModel:
    """A converted model, in memory.

    Attributes:
        content: The bytes of the .tflite file.
        mode: "int8", "dynamic_range" or "float".
        details: Plain values: those of `file_details`, and

            * model: Name of the Keras model.
            * mode: As above.
            * step_size_source: "converter" if TFLite's converter chose the
              step sizes, None in a float file.
            * calibration: Name of the calibration set, None if it has none.
            * calibration_images: How many images it had; 0 without one.
            * converter: Version of TensorFlow.
        log: What the converter printed.
    """

    content: bytes = dataclasses.field(repr=False)
    mode: str
    details: dict
    log: str = dataclasses.field(default="", repr=False, compare=False)


def to_tflite(model, calibration=None, *, mode="int8", batch_size=None):
    """Converts a float Keras classifier to a TFLite file, in memory.

    **The step sizes are those of TFLite's own converter**, not those of a
    quantizer or PTQ method of this library: max-abs per output channel for
    weights, the smallest and largest value over the calibration images for
    activations. `details["step_size_source"]` says so.

    Three modes:

    * "int8": full integer. Weights and activations are int8, biases int32,
      **and so are input and output int8**: integer-only devices
      (microcontrollers, Edge TPUs) have no float unit to convert them, and
      whoever holds the raw pixels can often make codes of them for less. The
      parameters for that are in `details["input"]` and `details["output"]`:
      `code = round(x / scale) + zero_point`. An input that the model takes as
      integers (token ids, raw pixels) stays as it is. An operator for which
      TFLite has no integer kernel stays in float; it is counted in
      `details["float_ops"]`, and `verify` refuses the file if it has float
      weights.
    * "dynamic_range": kernels of 1024 elements or more int8, the rest and
      the activations float; an operator may quantize its input on the fly. No
      calibration needed.
    * "float": nothing is quantized.

    Batch normalization is folded in all three. A mixed-precision model is
    converted as the float32 model with the same weights. The signature of the
    file names its input "image" and its output "output".

    Args:
        model: A built functional or sequential model of the active Keras, in
            float, of one image input and one output (logits or
            probabilities). Nested models work. It is not changed.
        calibration: Images like those of training, normalized as the model
            expects: what `batches_of` takes, such as a `Split` or batches of
            images. Labels are not used. Needed by "int8" only, and held in
            memory. A few hundred are enough; take them from the training data.
        mode: As above.
        batch_size: Fixes the batch size in the file, such as 1 for devices
            that cannot change shapes. None keeps that of the model's input,
            by default any: the file then says 1, and
            `Interpreter.resize_tensor_input` changes it.

    Returns:
        A `TFLiteModel`.

    Raises:
        TypeError: If `model` is no graph model, or one of the other Keras.
        ValueError: If `model` is unbuilt, fake-quantized, has several inputs
            or outputs, or holds NaN or infinity; if the calibration set is
            missing, empty or of the wrong shape; if the converter refuses the
            model (its error lines are in the message).
    """
    _check_arguments(mode, batch_size)
    _check_model(model)
    shape = tuple(model.inputs[0].shape)
    images = None
    if mode == "int8":
        images = _calibration_images(calibration, model)
    if batch_size is None:
        batch_size = shape[0]
    content, log = _convert(
        compat.in_float32(model), [batch_size, *shape[1:]], images, mode
    )
    details = {
        "model": model.name,
        "mode": mode,
        "step_size_source": None if mode == "float" else "converter",
        "calibration": None if images is None else name_of(calibration),
        "calibration_images": 0 if images is None else len(images),
        "converter": f"tensorflow {tf.__version__}",
        **file_details(content),
    }
    return TFLiteModel(content=content, mode=mode, details=details, log=log)


def _check_arguments(mode, batch_size):
    if mode not in MODES:
        raise ValueError(f"Expected a mode out of {MODES}. Received: {mode!r}.")
    if batch_size is None:
        return
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(
            "Expected batch_size as an integer of 1 or more, or None for any. "
            f"Received: {batch_size!r}."
        )


def _check_model(model):
    compat.check_graph_model(model)
    for kind, tensors in [("input", model.inputs), ("output", model.outputs)]:
        if len(tensors) != 1:
            raise ValueError(
                f"Expected a classifier of one input and one output. The model "
                f"{model.name!r} has {len(tensors)} {kind}s. Export a part of "
                "it: keras.Model(one_input, one_output)."
            )
    shape = tuple(model.inputs[0].shape)
    if None in shape[1:]:
        raise ValueError(
            "Expected an input whose shape is known but for the batch size. "
            f"That of {model.name!r} is {list(shape)}. Build the model for "
            "the image size of the device."
        )
    for path, layer in compat.layers_of(model):
        if hosted_tensors(layer) is not None:
            raise ValueError(
                f"Expected a float model. Layer {path!r} of {model.name!r} is "
                "fake-quantized, and files that carry its step sizes are not "
                "offered: the converter chooses its own. Export the model "
                "that was given to fake_quantize_model, or the float layers: "
                "strip_quantizers(model)."
            )
        _check_finite(path, layer)


def _check_finite(path, layer):
    for variable in layer.weights:
        value = compat.to_numpy(variable).astype(np.float32)
        bad = value.size - np.isfinite(value).sum()
        if bad:
            name = variable.name.split("/")[-1].partition(":")[0]
            raise ValueError(
                f"Expected finite weights. Layer {path!r} has {bad} NaN or "
                f"infinite values of {value.size} in {name!r}. Training has "
                "diverged: go back to an earlier checkpoint."
            )


def _calibration_images(calibration, model):
    if calibration is None:
        raise ValueError(
            "Expected calibration images: mode 'int8' derives the step sizes "
            "of activations from them. Received: None. Give some hundred "
            "training images, or mode='dynamic_range', which needs none."
        )
    batches = batches_of(
        calibration,
        model,
        "calibration images",
        batch_size=_CALIBRATION_BATCH,
        finite=True,
    )
    return np.concatenate(
        [tf.nest.flatten(batch.inputs)[0].numpy() for batch in batches]
    )


def _convert(model, shape, images, mode):
    """Returns the file's bytes and what the converter printed."""
    with captured_output() as text:
        try:
            module, function = _traced(model, shape)
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
    function = module.serve.get_concrete_function()
    module.variables_of_model = list(function.variables)
    return module, function


def _configure(converter, images, batch_size, mode):
    if mode == "float":
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if mode == "dynamic_range":
        return
    converter.representative_dataset = lambda: _batched(
        images, batch_size or _CALIBRATION_BATCH, padded=batch_size is not None
    )
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
        tf.lite.OpsSet.TFLITE_BUILTINS,
    ]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8


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
