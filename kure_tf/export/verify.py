"""Checking a TFLite file against the Keras model that it was made from."""

import dataclasses
import time

import numpy as np

from kure_tf import compat
from kure_tf.data.sources import name_of
from kure_tf.evaluation import keras_runner, litert_runner
from kure_tf.evaluation.litert_runner import RESOLVERS, interpreter_version
from kure_tf.export.answers import answers_of
from kure_tf.export.file_details import file_details
from kure_tf.export.judge import Judge
from kure_tf.export.tflite import INTEGER_MODES, TFLiteModel
from kure_tf.export.verification import Verification, VerificationError


def verify(
    tflite,
    model,
    split,
    *,
    min_agreement=0.98,
    max_accuracy_drop=0.010,
    batch_size=64,
    num_threads=2,
    resolver="default",
    progress=True,
):
    """Runs a TFLite file beside the Keras model over a whole split.

    The bytes in memory are run by `ai_edge_litert`'s interpreter, with images
    quantized by the file's own scale and zero point.

    Args:
        tflite: What `to_tflite` returned.
        model: The Keras model that it was made from, of one input and one
            output: `[batch, classes]`, or `[batch, ..., classes]` of each
            position, logits or probabilities; or what its loss takes.
        split: A `Split`, or an iterable of batches `(images, labels)`, such as
            a `tf.data.Dataset`. Labels are integers, class numbers, where an
            example counts by the share of its positions; or what the loss of
            the model takes.
        min_agreement: Smallest share of images (0..1) for which the file must
            name the same class as the model. Of numbers: of their variance
            that it must reproduce, see `Verification.agreement`.
        max_accuracy_drop: How much accuracy (0..1; 0.010 is one point) the
            file may lose. It may always gain.
        batch_size: Images per call. A file or model of a fixed batch size
            keeps its own.
        num_threads: How many interpreters run side by side.
        resolver: Which kernels; see `litert_runner`.
        progress: Whether to show a progress bar.

    Returns:
        A `Verification` that kept all limits.

    Raises:
        VerificationError: If the file does not keep them; it names every one
            that is broken.
        ValueError: If limits, images or labels are not usable.
    """
    _check_limits(min_agreement, max_accuracy_drop, resolver)
    _check_pair(tflite, model)
    start = time.perf_counter()
    file = litert_runner(
        tflite.content,
        resolver=resolver,
        num_threads=num_threads,
        batch_size=batch_size,
    )
    compared = _compare(
        file, keras_runner(model), split, batch_size * num_threads, progress
    )
    own, file_score = compared.keras, compared.file
    details = file_details(tflite.content)
    integer = tflite.mode in INTEGER_MODES
    verification = Verification(
        mode=tflite.mode,
        step_size_source=tflite.details.get("step_size_source"),
        split=name_of(split),
        images=own.examples,
        agreement=compared.likeness.value,
        keras_accuracy=own.accuracy,
        tflite_accuracy=file_score.accuracy,
        # One division, so that a drop of exactly the limit is within it.
        accuracy_drop=None
        if own.right is None
        else (own.right - file_score.right) / own.examples,
        keras_loss=own.loss,
        tflite_loss=file_score.loss,
        loss_name=own.loss_name,
        nan_outputs=compared.nan_outputs,
        float_weights=tuple(details["float_weights"]) if integer else (),
        float_ops=details["float_ops"],
        resolver=resolver,
        num_threads=num_threads,
        interpreter=interpreter_version(),
        min_agreement=min_agreement,
        max_accuracy_drop=max_accuracy_drop,
        seconds=round(time.perf_counter() - start, 3),
    )
    if verification.failures:
        raise VerificationError(_message(verification, model), verification)
    return verification


@dataclasses.dataclass
class _Compared:
    """Model and file over all images: `Score`s, and how alike they are."""

    judge: Judge

    def __post_init__(self):
        self.keras, self.file = self.judge.score(), self.judge.score()
        self.likeness, self.nan_outputs = self.judge.likeness(), 0

    def add(self, labels, expected, received):
        finite = np.isfinite(received.reshape(len(received), -1)).all(-1)
        self.nan_outputs += int((~finite).sum())
        # NaN is no answer, though argmax names the class where it stands.
        self.likeness.add(expected, received, finite)
        self.keras.add(labels, expected)
        self.file.add(labels, received, finite)


def _compare(file, model, split, step, progress):
    """Returns what was `_Compared`, both `Runner`s asked the same."""
    compared = None
    for judge, labels, expected, ((received, *_),) in answers_of(
        split, model, [file], batch_size=step, progress=progress
    ):
        compared = compared or _Compared(judge)
        compared.add(labels, expected, received)
    return compared


def _check_limits(min_agreement, max_accuracy_drop, resolver):
    for name, value in [
        ("min_agreement", min_agreement),
        ("max_accuracy_drop", max_accuracy_drop),
    ]:
        if not 0 <= value <= 1:  # Nor NaN.
            raise ValueError(
                f"Expected {name} as a share from 0 to 1, such as 0.98 for "
                f"98 %. Received: {value!r}."
            )
    if resolver not in RESOLVERS:
        raise ValueError(
            f"Expected a resolver out of {RESOLVERS}. Received: {resolver!r}."
        )


def _check_pair(tflite, model):
    if not isinstance(tflite, TFLiteModel):
        raise TypeError(
            "Expected what to_tflite returns, a TFLiteModel. Received: "
            f"{type(tflite).__name__}."
        )
    compat.check_graph_model(model)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            f"Expected a model of one input and one output. The model "
            f"{model.name!r} has {len(model.inputs)} and {len(model.outputs)}."
        )
    for port, tensor in [
        ("input", model.inputs[0]),
        ("output", model.outputs[0]),
    ]:
        wanted = list(tensor.shape)[1:]
        found = tflite.details[port]["shape"][1:]
        if found != wanted:
            raise ValueError(
                f"Expected the file that was made from {model.name!r}. The "
                f"{port} of this one has the shape {['batch', *found]}, that "
                f"of the model {['batch', *wanted]}."
            )


def _message(verification, model):
    lines = [
        f"The {verification.mode} TFLite file of {model.name!r} (step size "
        f"source: {verification.step_size_source}) failed its verification on "
        f"{verification.images} images:",
        *(f"* {failure}" for failure in verification.failures),
        _way_out(verification),
    ]
    return "\n".join(lines)


def _way_out(verification):
    if verification.mode == "exact":
        return (
            "A model at few bits leaves biases and sums in float, the file "
            "does not: export_exact compares with what the file has to answer."
        )
    if verification.mode not in INTEGER_MODES:
        return (
            "Verify with the model that the file was made from and with images "
            "normalized as in training, or set other limits."
        )
    if verification.float_weights:
        return (
            "TFLite has no integer kernel for the layers of these weights: "
            "replace them, or export with mode='dynamic_range'."
        )
    return (
        "Calibrate with more images, drawn and normalized as in training; make "
        "the model more robust (regularize_kurtosis); export with "
        "mode='dynamic_range'; or set other limits."
    )
