"""Writing a file of exactly a model's codes, once its answers are foretold."""

import dataclasses
import json
import time

from kure_tf.data.sources import name_of
from kure_tf.evaluation import keras_runner
from kure_tf.evaluation.litert_runner import interpreter_version
from kure_tf.export.answers import answers_of
from kure_tf.export.check import check_file
from kure_tf.export.exact_verification import Answers, ExactVerification
from kure_tf.export.file_details import file_details
from kure_tf.export.file_metadata import FileMetadata
from kure_tf.export.flatbuffer import CONTAINERS
from kure_tf.export.kernel_sets import RESOLVERS
from kure_tf.export.pair_runner import compared_codes, pair_runner
from kure_tf.export.verification import VerificationError
from kure_tf.export.verified_file import checked_path, what_is_left
from kure_tf.export.write import write
from kure_tf.files import jsonable, write_atomically
from kure_tf.integer_graph import to_integer_graph, with_container


def export_exact(
    model,
    path,
    calibration,
    split,
    *,
    container=8,
    kernels="xnnpack",
    allow_float=False,
    float_ports=False,
    file_batch_size=None,
    metadata=None,
    batch_size=64,
    num_threads=2,
    progress=True,
):
    """Writes a fake-quantized model as a file of exactly its codes.

    The model is lowered to an integer graph and written without a converter.
    The file is then read back and compared with the graph tensor by tensor,
    and run over the whole split: each output code has to be the foretold one
    (where layers stay in float, each code between them: see `Answers`).
    Only then it is written, beside a .json with what is in the file, its
    sha256 and the `ExactVerification`.

    Args:
        model: What `fake_quantize_model` or `quantize_aware` returned, at an
            operating point without floats (see `to_integer_graph`), with one
            output: `[batch, classes]`, `[batch, ..., classes]` of each
            position, or what its loss takes.
        path: Where to write; must end in ".tflite".
        calibration: Some hundred images like those of training, for the
            ranges of tensors without a quantizer, such as sums.
        split: What to verify on: batches of (images, labels), such as a
            `Split`. Labels are class numbers, or what the loss of the model
            takes, which then stands in the place of accuracy.
        container: Bits that the file gives each code of a kernel where they
            fit: 8, 4 or 2 (see `with_container`).
        kernels: Whose rounding to foretell and run: "xnnpack", the
            interpreter's default, "builtin" or "reference"; or several of
            them.
        allow_float: Whether layers without an integer operator are left in
            float (see `to_integer_graph`).
        float_ports: Whether the file takes and gives float32; else int8.
        file_batch_size: Batch size fixed in the file; None for any.
        metadata: `FileMetadata`: what the file says of itself.
        batch_size: Examples per call while verifying.
        num_threads: How many calls run side by side.
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
    kernels = check_exact_options(container, kernels)
    start = time.perf_counter()
    graph = to_integer_graph(model, calibration, allow_float=allow_float)
    graph = with_container(graph, container)
    lowered = time.perf_counter()
    content = exact_content(
        graph,
        metadata or FileMetadata(),
        float_ports=float_ports,
        batch_size=file_batch_size,
    )
    written = time.perf_counter()
    verification = dataclasses.replace(
        exact_verification(
            content,
            graph,
            model,
            split,
            kernels=kernels,
            file_batch_size=file_batch_size,
            batch_size=batch_size,
            num_threads=num_threads,
            progress=progress,
        ),
        lower_seconds=round(lowered - start, 3),
        write_seconds=round(written - lowered, 4),
        seconds=round(time.perf_counter() - start, 3),
    )
    raise_failures(verification, model, path)
    _write(path, content, verification)
    return verification


def check_exact_options(container, kernels) -> tuple[str, ...]:
    """Returns the sets of kernels of `export_exact` as a tuple of names.

    Raises:
        ValueError: If there is no such container or set of kernels.
    """
    if container not in CONTAINERS:
        raise ValueError(
            "Expected a container of 8, 4 or 2 bits, what LiteRT's files "
            f"have. Received: {container!r}."
        )
    names = [kernels] if isinstance(kernels, str) else list(kernels or ())
    if not names or not set(names) <= set(RESOLVERS):
        raise ValueError(
            "Expected kernels that the interpreter can be told to run, of "
            f"{sorted(RESOLVERS)}. Received: {kernels!r}."
        )
    return tuple(dict.fromkeys(names))


def exact_verification(
    content,
    graph,
    model,
    split,
    *,
    kernels,
    file_batch_size=None,
    batch_size=64,
    num_threads=2,
    progress=True,
) -> ExactVerification:
    """Returns how a file does beside its graph and its Keras model.

    Args:
        content: The bytes of the file.
        graph: The `IntegerGraph` that it should hold.
        model: The fake-quantized model, at the point of the file.
        split: As for `export_exact`, and so are all others.
    """
    start = time.perf_counter()
    pairs = _pairs(
        content,
        graph,
        check_exact_options(8, kernels),
        file_batch_size=file_batch_size,
        num_threads=num_threads,
        batch_size=batch_size,
    )
    return ExactVerification(
        container=_narrowest(graph),
        **_checked_content(content, graph),
        **_answers(
            pairs,
            keras_runner(model),
            split,
            batch_size=batch_size * num_threads,
            progress=progress,
        ),
        lower_seconds=0.0,
        write_seconds=0.0,
        seconds=round(time.perf_counter() - start, 3),
    )


def _narrowest(graph):
    """Returns the bits of the narrowest container of a kernel."""
    return min((one.container for one in graph.weights.values()), default=8)


def exact_content(graph, metadata, **options) -> bytes:
    """Returns the bytes of a graph's file.

    Args:
        graph: The `IntegerGraph`.
        metadata: Its `FileMetadata`.
        **options: As for `write`.
    """
    content = write(graph, metadata=metadata.entries(graph), **options)
    return metadata.with_labels(content)


def _checked_content(content, graph):
    """Returns what an `ExactVerification` says of the bytes."""
    return {
        **dataclasses.asdict(check_file(content, graph)),
        "file_size": len(content),
    }


def _write(path, content, verification):
    write_atomically(path, content)
    details = {
        "file": file_details(content),
        "verification": dataclasses.asdict(verification),
    }
    text = json.dumps(jsonable(details), indent=2) + "\n"
    write_atomically(path.with_suffix(".json"), text)


class _Pair:
    """A file with one set of kernels, and what it should answer."""

    def __init__(self, kernels, runner, codes):
        self._kernels, self.runner, self._per_example = kernels, runner, codes
        self._codes = self._differing = 0
        self._score = self._likeness = None

    def add(self, judge, labels, expected, received, differing):
        self._score = self._score or judge.score()
        self._likeness = self._likeness or judge.likeness()
        self._codes += len(received) * self._per_example
        self._differing += int(differing.sum())
        self._likeness.add(expected, received)
        self._score.add(labels, received)

    def answers(self):
        return Answers(
            kernels=self._kernels,
            codes=self._codes,
            differing_codes=self._differing,
            agreement=self._likeness.value,
            accuracy=self._score.accuracy,
            loss=self._score.loss,
        )


def _pairs(content, graph, kernels, **options):
    codes = compared_codes(graph)
    return [
        _Pair(one, pair_runner(content, graph, one, **options), codes)
        for one in kernels
    ]


def _answers(pairs, model, split, **options):
    """Returns what an `ExactVerification` says of the answers."""
    runners = [pair.runner for pair in pairs]
    names = [port.name for port in runners[0].input_ports]
    own = None
    for judge, labels, expected, found in answers_of(
        split, model, runners, names=names, **options
    ):
        own = own or judge.score()
        own.add(labels, expected)
        for pair, outputs in zip(pairs, found, strict=True):
            pair.add(judge, labels, expected, *outputs)
    return {
        "split": name_of(split),
        "examples": own.examples,
        "keras_accuracy": own.accuracy,
        "keras_loss": own.loss,
        "loss_name": own.loss_name,
        "answers": tuple(pair.answers() for pair in pairs),
        "interpreter": interpreter_version(),
    }


def raise_failures(verification, model, path):
    """Raises a `VerificationError` if a file is not what was foretold."""
    if verification.failures:
        lines = "\n".join(f"* {failure}" for failure in verification.failures)
        raise VerificationError(
            f"Expected a file that answers for {model.name!r} what was "
            f"foretold. It does not:\n{lines}\n{what_is_left(path)}",
            verification,
        )
