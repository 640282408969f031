"""What a .tflite file says of itself, as LiteRT's metadata."""

import dataclasses
import io
import json
import zipfile

from kure_tf.export import metadata_tables
from kure_tf.export.stored_file import opened
from kure_tf.files import jsonable

_STANDARD = "TFLITE_METADATA"  # Where LiteRT's readers look.
_NOTE = "kure_tf"
_LABELS = "labels.txt"


@dataclasses.dataclass(frozen=True)
class FileMetadata:
    """What a file says of itself.

    Labels and normalization are written as LiteRT's metadata (a flatbuffer of
    the schema "M001", and a zip archive with the labels behind the file), which
    its task libraries and viewers read. `note` is JSON in an entry of its own,
    "kure_tf", and comes back from `file_note`.

    Attributes:
        description: A sentence for people.
        labels: Names of the classes, in the order of the outputs.
        mean, std: What a pixel x of 0..255 becomes: (x - mean) / std, one
            number or one for each channel; None where it is not known.
        note: Plain values, such as a `Setting`'s provenance.

    Raises:
        TypeError: If `labels` is one string.
    """

    description: str = ""
    labels: tuple[str, ...] = ()
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    note: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if isinstance(self.labels, str):
            raise TypeError(
                "Expected labels as a tuple of names, one for each class. "
                f"Received: the string {self.labels!r}. One class is "
                f"({self.labels!r},)."
            )

    def entries(self, graph) -> dict[str, bytes]:
        """Returns `{name: bytes}` for `write(graph, metadata=...)`.

        Raises:
            ValueError: If there are labels, but not one for each class: for
                each entry of the last dimension of the outputs.
        """
        self._check_labels(graph)
        found = {_STANDARD: self._standard(graph)}
        if self.note:
            found[_NOTE] = json.dumps(jsonable(self.note)).encode()
        return found

    def with_labels(self, content) -> bytes:
        """Returns the bytes of a file with the labels behind it."""
        files = self.files()
        return with_files(content, files) if files else content

    def files(self) -> dict[str, bytes]:
        """Returns `{name: bytes}` of what goes into the archive."""
        if not self.labels:
            return {}
        return {_LABELS: ("\n".join(self.labels) + "\n").encode()}

    def _check_labels(self, graph):
        for name in graph.outputs if self.labels else ():
            classes = graph.tensors[name].shape[-1]
            if len(self.labels) != classes:
                raise ValueError(
                    f"Expected {classes} labels, one for each class of the "
                    f"output {name!r}. Received: {len(self.labels)}. Leave "
                    "labels empty if there are no names."
                )

    def _standard(self, graph):
        return metadata_tables.model_metadata(
            graph.name,
            self.description,
            [self._input(graph.tensors[name]) for name in graph.inputs],
            [self._output(name) for name in graph.outputs],
        )

    def _input(self, tensor):
        return metadata_tables.input_tensor(
            tensor.name, tensor.shape, self.mean, self.std
        )

    def _output(self, name):
        file = _LABELS if self.labels else None
        return metadata_tables.output_tensor(name, file)


def with_files(content, files) -> bytes:
    """Returns the bytes of a .tflite file with an archive behind it.

    Args:
        content: The bytes of the file.
        files: `{name: bytes}`. They are not compressed, which not all of
            LiteRT's readers could undo.
    """
    stream = io.BytesIO()
    stream.write(content)
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            # The date of an archive's entries would change the bytes.
            archive.writestr(zipfile.ZipInfo(name), data)
    return stream.getvalue()


def file_note(content) -> dict:
    """Returns the note that a .tflite file carries; empty if it has none.

    Args:
        content: The bytes of the file.

    Raises:
        TypeError: If `content` is something else, such as a path.
        ValueError: If it is no .tflite file, or a damaged one.

    Example:
        >>> file_note(pathlib.Path("4_8.tflite").read_bytes())["point"]
        '4/8'
    """
    with opened(content) as model:
        for number in range(model.MetadataLength()):
            entry = model.Metadata(number)
            if entry.Name() == _NOTE.encode():
                buffer = model.Buffers(entry.Buffer())
                return json.loads(buffer.DataAsNumpy().tobytes())
    return {}
