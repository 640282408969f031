"""One file from which a device makes the files of all bit-widths.

A .kure file is the .tflite file of 8-bit weights and, behind it, an archive,
as LiteRT's metadata have it. `kure_materialize` makes of it the file of any
point, equal to the last bit to the one that `write` makes.
"""

import dataclasses
import hashlib
import json
import zlib

import numpy as np

from kure_materialize import INDEX, predict, read
from kure_tf.artifact.kernel_places import kernel_places
from kure_tf.artifact.nested_points import nested_points
from kure_tf.artifact.scale_products import scale_products
from kure_tf.export.exact import exact_content
from kure_tf.export.file_metadata import FileMetadata, with_files
from kure_tf.export.file_operators import stored_kernel
from kure_tf.fake_quantized import apply, keeping
from kure_tf.integer_graph import to_integer_graph, with_container


def pack(
    model,
    settings,
    calibration,
    *,
    containers=(8, 4),
    metadata=None,
    float_ports=False,
    file_batch_size=None,
    allow_float=False,
) -> bytes:
    """Returns an artifact: the bytes of one .kure file for several points.

    The first part of it is the file of 8-bit weights, as it is, so that the
    artifact also runs. Of every other file only that is stored which reading
    the 8-bit codes at fewer bits does not foretell: biases, scales of kernels
    and ranges, and whatever else differs.

    Args:
        model: A model with quantizers. It is left as it was.
        settings: `Setting`s that read one code for each weight, as
            `ptq.nested_settings` returns them, one of them of 8 bits; in any
            order.
        calibration: Images, as for `to_integer_graph`.
        containers: Bits that files give each code where they fit: 8, and 4 if
            it is wanted (see `with_container`).
        metadata: `FileMetadata` of all files; each adds its "point" to the
            note.
        float_ports, file_batch_size, allow_float: As for `export_exact`.

    Raises:
        TypeError, ValueError: As `nested_points`, `apply`, `to_integer_graph`,
            `with_container` and `write`; if 8 is not among the containers.
    """
    if 8 not in containers or len({*containers}) < len(containers):
        raise ValueError(
            "Expected containers of which one has 8 bits, each once, such as "
            f"(8, 4). Received: {containers!r}."
        )
    nested = nested_points(model, settings)
    graphs = [
        graph_at(model, setting, calibration, allow_float=allow_float)
        for setting in nested.settings
    ]
    packer = _Packer(nested, graphs)
    for point, setting, graph in zip(
        nested.points, nested.settings, graphs, strict=True
    ):
        for file in files_at(
            setting,
            graph,
            containers=containers,
            metadata=metadata,
            float_ports=float_ports,
            file_batch_size=file_batch_size,
        ):
            packer.add(point, *file)
    return packer.content(metadata or FileMetadata())


def graph_at(model, setting, calibration, *, allow_float=False):
    """Returns the `IntegerGraph` of a model at a setting; the model stays."""
    with keeping(model):
        apply(model, setting)
        return to_integer_graph(model, calibration, allow_float=allow_float)


def files_at(
    setting,
    graph,
    *,
    containers=(8, 4),
    metadata=None,
    float_ports=False,
    file_batch_size=None,
):
    """Yields container, graph and bytes of each file of a setting.

    Args:
        setting: The `Setting`.
        graph: Its `IntegerGraph`.
        containers, metadata, float_ports, file_batch_size: As for `pack`.
    """
    metadata = metadata or FileMetadata()
    note = {**metadata.note, "point": str(setting.point)}
    metadata = dataclasses.replace(metadata, note=note)
    for container in sorted(containers, reverse=True):
        stored = with_container(graph, container)
        content = exact_content(
            stored,
            metadata,
            float_ports=float_ports,
            batch_size=file_batch_size,
        )
        yield container, stored, content


class _Packer:
    """Collects files, each as its difference from another one."""

    def __init__(self, nested, graphs):
        self._nested, self._graphs = nested, graphs
        self._first = self._eight = None  # Entry and bytes of two files.
        self._index = {"reading": nested.reading}
        self._index["files"], self._changes = [], {}

    def add(self, point, container, graph, content):
        """Adds the file of a point; the first one is stored as it is."""
        places = kernel_places(content, graph)
        if self._first is None:
            self._numbers = [*{p: n for n, p in enumerate(places)}.values()]
            self._index["kernels"] = self._kernels()
        weights = [*graph.weights.values()]
        entry = {
            "point": point,
            "container": container,
            "length": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "places": [places[n] for n in self._numbers],
            "containers": [weights[n].container for n in self._numbers],
            "products": scale_products(content),
        }
        content = np.frombuffer(content, np.uint8)
        if self._first is None:
            self._first = entry, content
        else:
            before = self._eight if container < 8 else self._first
            self._store(entry, content, *before)
        if container == 8:
            self._eight = entry, content
        self._index["files"].append(entry)

    def _store(self, entry, content, old, before):
        """Stores what a file has otherwise than another one foretells."""
        changes = predict(before, old, entry, self._index) ^ content
        for *_, place, size in entry["products"]:
            changes[place : place + size] = 0
        entry["changes"] = f"kure/{len(self._changes) + 2}"
        self._changes[entry["changes"]] = zlib.compress(changes, 9)

    def content(self, metadata) -> bytes:
        """Returns the artifact."""
        index = json.dumps(self._index, separators=(",", ":")).encode()
        _, first = self._first
        files = {
            **metadata.files(),
            **self._changes,
            INDEX: zlib.compress(index, 9),
        }
        return with_files(first.tobytes(), files)

    def _kernels(self):
        operators = [
            [one for one in graph.operators if one.weights is not None]
            for graph in self._graphs
        ]
        return [
            self._kernel([one[n] for one in operators]) for n in self._numbers
        ]

    def _kernel(self, operators):
        """Returns the index's entry of the kernel of an operator.

        Args:
            operators: The operator in the graph of each setting.
        """
        codes, axis = stored_kernel(operators[0])
        fixed = operators[0].weights.path not in self._nested.kernels
        signs = np.ones(codes.shape[axis], int)
        if not fixed and self._nested.reading != "even":  # Which is odd.
            signs = self._signs(operators, codes, axis)
        return {
            "size": codes.size,
            "fixed": fixed,
            "stride": int(np.prod(codes.shape[axis + 1 :])),
            "signs": [1] if (signs == 1).all() else signs.tolist(),
        }

    def _signs(self, operators, codes, axis):
        """Returns -1 for channels with the sign that batch norm changed."""
        others = tuple(a for a in range(codes.ndim) if a != axis)
        misses = {1: 0, -1: 0}
        for (bits, _), operator in zip(
            self._nested.points, operators, strict=True
        ):
            found, _ = stored_kernel(operator)
            for sign in misses:
                foretold = sign * read(sign * codes, bits, self._nested.reading)
                misses[sign] += (foretold != found).sum(others)
        return np.where(misses[-1] < misses[1], -1, 1)
