"""Keras models as TFLite files, in memory."""

import dataclasses

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.data.batches import batches_of
from kure_tf.data.sources import name_of
from kure_tf.export.converter import CALIBRATION_BATCH, converted
from kure_tf.export.file_details import file_details
from kure_tf.export.file_with_codes import file_with_codes
from kure_tf.fake_quantized import quantized_share, quantizers_of

MODES = (
    "converter_int8",
    "converter_16x8",
    "dynamic_range",
    "float16",
    "float",
)
"""Of a float model."""

MODES_WITH_CODES = ("exact", "weight_only", "dynamic_range", "float")
"""Of a fake-quantized model."""

INTEGER_MODES = ("exact", "converter_int8", "converter_16x8")
"""Those whose files should compute in integers alone."""


@dataclasses.dataclass(frozen=True)
class TFLiteModel:
    """A converted model, in memory.

    Attributes:
        content: The bytes of the .tflite file.
        mode: See `to_tflite`.
        details: Plain values: those of `file_details`, and

            * model: Name of the Keras model.
            * mode: As above.
            * step_size_source: "converter" if TFLite's converter chose the
              step sizes, "kure_tf" if they are the model's own, None in a
              float file.
            * calibration: Name of the calibration set, None if it has none.
            * calibration_images: How many images the converter was given; 0
              if it needed none.
            * converter: Version of TensorFlow.
        * quantized_parameters, quantized_multiply_adds, left_in_float: See
          `QuantizedShare.facts`; of fake-quantized models.
        log: What the converter printed.
    """

    content: bytes = dataclasses.field(repr=False)
    mode: str
    details: dict
    log: str = dataclasses.field(default="", repr=False, compare=False)


def to_tflite(
    model, calibration=None, *, mode=None, container=8, batch_size=None
):
    """Converts a Keras model to a TFLite file, in memory.

    A fake-quantized model, at an operating point, keeps its codes:

    * "exact", its default: integers alone, written without a converter; see
      `to_integer_graph` and `write`. `export_exact` also foretells each answer.
    * "weight_only", at points such as "4/FP": kernels are stored as codes, of
      which the file makes floats again. It answers as the model does, up to
      the order of float32 sums.
    * "dynamic_range", likewise: operators take the codes as they are and
      quantize their inputs to 8 bits on the fly.
    * "float", likewise: kernels as the floats that their codes stand for.

    A float model gets the step sizes of TFLite's own converter: max-abs per
    output channel for weights, the smallest and largest value over the
    calibration images for activations.

    * "converter_int8", its default: full integer. Weights and activations are
      int8, biases int32, **and so are input and output int8**: integer-only
      devices (microcontrollers, Edge TPUs) have no float unit to convert them,
      and whoever holds the raw pixels can often make codes of them for less.
      The parameters for that are in `details["input"]` and
      `details["output"]`: `code = round(x / scale) + zero_point`. An input
      that the model takes as integers (token ids, raw pixels) stays as it is.
      An operator for which TFLite has no integer kernel stays in float; it is
      counted in `details["float_ops"]`, and `verify` refuses the file if it
      has float weights.
    * "converter_16x8": likewise with int16 activations, input and output.
    * "dynamic_range": kernels of 1024 elements or more int8, the rest and
      the activations float; an operator may quantize its input on the fly. No
      calibration needed.
    * "float16": kernels as half-precision floats.
    * "float": nothing is quantized.

    Recurrent layers are unrolled, and no other loop becomes integers.

    `details["step_size_source"]` says whose step sizes there are. Batch
    normalization is folded in all modes. A mixed-precision model is converted
    as the float32 model with the same weights. What the converter makes names
    its input "image" and its output "output".

    Args:
        model: A built functional or sequential model of the active Keras, of
            one input and one output. Nested models work. It is not changed.
        calibration: Images like those of training, normalized as the model
            expects: what `batches_of` takes, such as a `Split` or batches of
            images. Labels are not used. Needed by the modes of integers, and
            held in memory. A few hundred are enough; take them from the
            training data.
        mode: As above; None for the default.
        container: Bits that the file gives each of the model's codes where
            they fit: 8 or 4, in "exact" files also 2.
        batch_size: Fixes the batch size in the file, such as 1 for devices
            that cannot change shapes. None keeps that of the model's input,
            by default any: the file then says 1, and
            `Interpreter.resize_tensor_input` changes it.

    Returns:
        A `TFLiteModel`.

    Raises:
        TypeError: If `model` is no graph model, or one of the other Keras.
        ValueError: If `model` is unbuilt, has several inputs or outputs, or
            holds NaN or infinity; if it has no such mode or stands at a point
            that the mode does not hold; if the calibration set is missing,
            empty or of the wrong shape; if the converter refuses the model
            (its error lines are in the message).
    """
    _check_model(model)
    quantized = bool(quantizers_of(model))
    mode = mode or ("exact" if quantized else "converter_int8")
    _check_arguments(model, quantized, mode, container, batch_size)
    if batch_size is None:
        batch_size = model.inputs[0].shape[0]
    images = None
    if mode in INTEGER_MODES:
        images = _calibration_images(calibration, model)
    make = file_with_codes if quantized else _by_converter
    content, log = make(model, images, mode, container, batch_size)
    details = {
        "model": model.name,
        "mode": mode,
        "step_size_source": _source(quantized, mode),
        "calibration": None if images is None else name_of(calibration),
        "calibration_images": 0 if images is None else len(images),
        "converter": f"tensorflow {tf.__version__}",
        **file_details(content),
    }
    if quantized:
        details |= quantized_share(model).facts()
    return TFLiteModel(content=content, mode=mode, details=details, log=log)


def _source(quantized, mode):
    if quantized:
        return "kure_tf"
    return None if mode in ("float16", "float") else "converter"


def _by_converter(model, images, mode, container, batch_size):
    del container  # Of our codes alone.
    shape = [batch_size, *model.inputs[0].shape[1:]]
    return converted(compat.in_float32(model), shape, images, mode)


def _check_arguments(model, quantized, mode, container, batch_size):
    modes = MODES_WITH_CODES if quantized else MODES
    if mode not in modes:
        kind = "fake-quantized" if quantized else "float"
        raise ValueError(
            f"Expected a mode out of {modes}, those of a {kind} model. "
            f"Received: {mode!r} for {model.name!r}. {_other_modes(quantized)}"
        )
    if container not in ((8, 4, 2) if mode == "exact" else (8, 4)):
        raise ValueError(
            "Expected a container of 8 or 4 bits, or in 'exact' files of 2. "
            f"Received: {container!r} for mode {mode!r}."
        )
    if batch_size is None:
        return
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(
            "Expected batch_size as an integer of 1 or more, or None for any. "
            f"Received: {batch_size!r}."
        )


def _other_modes(quantized):
    if quantized:
        return (
            "The others do not hold its codes: the converter chooses step "
            "sizes of its own, int16 activations are no operating point, and "
            "half-precision floats round. strip_quantizers(model) gives the "
            "float model."
        )
    return "fake_quantize_model, a PTQ method and a point give it codes."


def _check_model(model):
    compat.check_graph_model(model)
    for kind, tensors in [("input", model.inputs), ("output", model.outputs)]:
        if len(tensors) != 1:
            raise ValueError(
                f"Expected a model of one input and one output. The model "
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
            "Expected calibration examples: step sizes of activations, or of "
            "sums, come from them. Received: None. Give some hundred training "
            "images, or mode='dynamic_range', which needs none."
        )
    batches = batches_of(
        calibration,
        model,
        "calibration examples",
        batch_size=CALIBRATION_BATCH,
        finite=True,
    )
    return np.concatenate(
        [tf.nest.flatten(batch.inputs)[0].numpy() for batch in batches]
    )
