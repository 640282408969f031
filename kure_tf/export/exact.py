"""Writing a file of exactly a model's codes, once its answers are foretold."""

import dataclasses
import json
import time

import numpy as np
import tensorflow as tf

from kure_tf.data.batches import batches_of
from kure_tf.data.sources import name_of
from kure_tf.evaluation import keras_runner, litert_runner, top_1
from kure_tf.evaluation.litert_runner import interpreter_version
from kure_tf.export.check import check_file
from kure_tf.export.simulate import Simulation
from kure_tf.export.verification import VerificationError
from kure_tf.export.verified_file import checked_path, what_is_left
from kure_tf.export.write import write
from kure_tf.files import jsonable, write_atomically
from kure_tf.integer_graph import to_integer_graph, with_container

RESOLVERS = {"xnnpack": "default", "reference": "reference"}
"""Which resolver of the interpreter runs the kernels of that name."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExactVerification:
    """How a file did beside its integer graph and its Keras model.

    Attributes:
        container: Bits that the file gives each code where they fit.
        kernels: Whose rounding ran, and was foretold.
        split: Name of the split, None if it has none.
        examples: How many examples were run.
        codes: How many output codes were compared with the foretold ones.
        differing_codes: How many of them were others.
        tensors: How many tensors of the file were compared with the graph.
        differences: One sentence for each that differs.
        float_operators: Operators of the file that compute in float.
        agreement: Share of examples (0..1) for which the file and the
            fake-quantized Keras model name the same class. The model leaves
            biases and sums in float: at 4-bit activations 95 to 99 % is usual.
        keras_accuracy: Top-1 accuracy of the fake-quantized model (0..1).
        file_accuracy: That of the file.
        file_size: Bytes.
        interpreter: Package and version that ran the file.
        num_threads: Its threads.
        seconds: How long all of it took.
    """

    container: int
    kernels: str
    split: str | None
    examples: int
    codes: int
    differing_codes: int
    tensors: int
    differences: tuple[str, ...]
    float_operators: int
    agreement: float
    keras_accuracy: float
    file_accuracy: float
    file_size: int
    interpreter: str
    num_threads: int
    seconds: float

    @property
    def failures(self) -> tuple[str, ...]:
        """One sentence for each way in which the file is not the model's."""
        found = list(self.differences)
        if self.float_operators:
            found.append(
                f"{self.float_operators} of its operators compute in float; 0 "
                "are allowed."
            )
        if self.differing_codes:
            found.append(
                f"{self.differing_codes} of {self.codes} output codes are "
                f"not the foretold ones of the {self.kernels} kernels."
            )
        return tuple(found)


def export_exact(
    model,
    path,
    calibration,
    split,
    *,
    container=8,
    kernels="xnnpack",
    float_ports=False,
    file_batch_size=None,
    metadata=None,
    batch_size=128,
    num_threads=2,
    progress=True,
):
    """Writes a fake-quantized classifier as a file of exactly its codes.

    The model is lowered to an integer graph and written without a converter.
    The file is then read back and compared with the graph tensor by tensor,
    and run over the whole split: each output code has to be the foretold one.
    Only then it is written, beside a .json with the `ExactVerification`.

    Args:
        model: What `fake_quantize_model` or `quantize_aware` returned, at an
            operating point without floats (see `to_integer_graph`), with one
            output `[batch, classes]`.
        path: Where to write; must end in ".tflite".
        calibration: Some hundred images like those of training, for the
            ranges of tensors without a quantizer, such as sums.
        split: What to verify on: batches of (images, labels), such as a
            `Split`.
        container: Bits that the file gives each code of a kernel where they
            fit: 8, 4 or 2 (see `with_container`).
        kernels: Whose rounding to foretell and run: "xnnpack", the
            interpreter's default, or "reference".
        float_ports: Whether the file takes and gives float32; else int8.
        file_batch_size: Batch size fixed in the file; None for any.
        metadata: `{name: text or bytes}` to keep in the file.
        batch_size: Examples per call while verifying.
        num_threads: Threads of the interpreter.
        progress: Whether to show a progress bar.

    Returns:
        The `ExactVerification`.

    Raises:
        VerificationError: If the file differs from the graph or its answers
            from the foretold ones; nothing is written.
        TypeError, ValueError: As `to_integer_graph`, `with_container` and
            `write`; if there are no such kernels or no labels. Nothing is
            written.
        OSError: If a file cannot be written.
    """
    path = checked_path(path)
    if kernels not in RESOLVERS:
        raise ValueError(
            "Expected kernels that the interpreter can be told to run, one of "
            f"{sorted(RESOLVERS)}. Received: {kernels!r}."
        )
    start = time.perf_counter()
    graph = with_container(to_integer_graph(model, calibration), container)
    content = write(
        graph,
        float_ports=float_ports,
        batch_size=file_batch_size,
        metadata=metadata,
    )
    check = check_file(content, graph)
    file = litert_runner(
        content,
        resolver=RESOLVERS[kernels],
        num_threads=num_threads,
        batch_size=batch_size,
    )
    counts = _compare(
        keras_runner(model), Simulation(graph, kernels), file, split, progress
    )
    verification = ExactVerification(
        container=container,
        kernels=kernels,
        split=name_of(split),
        examples=counts.examples,
        codes=counts.codes,
        differing_codes=counts.differing_codes,
        tensors=check.tensors,
        differences=check.differences,
        float_operators=check.float_operators,
        agreement=counts.agreed / counts.examples,
        keras_accuracy=counts.keras_right / counts.examples,
        file_accuracy=counts.file_right / counts.examples,
        file_size=len(content),
        interpreter=interpreter_version(),
        num_threads=num_threads,
        seconds=round(time.perf_counter() - start, 3),
    )
    if verification.failures:
        lines = "\n".join(f"* {failure}" for failure in verification.failures)
        raise VerificationError(
            f"Expected a file that answers for {model.name!r} what was "
            f"foretold. It does not:\n{lines}\n{what_is_left(path)}",
            verification,
        )
    write_atomically(path, content)
    details = {"verification": dataclasses.asdict(verification)}
    text = json.dumps(jsonable(details), indent=2) + "\n"
    write_atomically(path.with_suffix(".json"), text)
    return verification


@dataclasses.dataclass
class _Counts:
    examples: int = 0
    codes: int = 0
    differing_codes: int = 0
    agreed: int = 0
    keras_right: int = 0
    file_right: int = 0


def _compare(model, simulation, file, split, progress):
    """Returns the counts over all examples, all three asked the same."""
    counts = _Counts()
    quantization = simulation.output_quantization
    for batch in batches_of(
        split,
        model,
        "examples to verify with",
        batch_size=file.batch_size,
        finite=True,
        progress=progress,
    ):
        _check_labels(batch.labels)
        inputs = [np.asarray(x) for x in tf.nest.flatten(batch.inputs)]
        (expected,), (received,) = model.outputs(inputs), file.outputs(inputs)
        (foretold,) = simulation(inputs)
        # Each value stands for one code, and rounding finds it again.
        codes = quantization.codes_of(received)
        counts.examples += batch.count
        counts.codes += codes.size
        counts.differing_codes += int(np.count_nonzero(codes != foretold))
        counts.agreed += int(top_1(expected.argmax(-1), received).sum())
        counts.keras_right += int(top_1(batch.labels, expected).sum())
        counts.file_right += int(top_1(batch.labels, received).sum())
    return counts


def _check_labels(labels):
    if labels is None:
        raise ValueError(
            "Expected labelled examples to verify with: batches of (images, "
            "labels). Received batches without labels. Pass the test split."
        )
