"""The bytes of an artifact, put together file by file."""

import hashlib
import json
import zlib

import numpy as np

from kure_materialize import INDEX, predict, read
from kure_tf.artifact.kernel_places import kernel_places
from kure_tf.artifact.scale_products import scale_products
from kure_tf.export.file_metadata import with_files
from kure_tf.export.file_operators import stored_kernel


class Packer:
    """Collects files, each as its difference from another one.

    Args:
        nested: The `NestedPoints`.
        graphs: The `IntegerGraph` of each of its settings.
    """

    def __init__(self, nested, graphs):
        self._nested, self._graphs = nested, graphs
        self._first = self._eight = None  # Entry and bytes of two files.
        self._index = {"reading": nested.reading}
        self._index["files"], self._changes = [], {}

    def add(self, point, container, graph, content):
        """Adds a file; the first one, of 8 bits in int8, is stored as it is.

        Args:
            point: Bits of weights and activations, in a list.
            container: Bits that were asked for as its container.
            graph: The `IntegerGraph` that it was written from.
            content: Its bytes. Those in int8 come first at each point.
        """
        places = kernel_places(content, graph)
        if self._first is None:
            self._numbers = [*{p: n for n, p in enumerate(places)}.values()]
            self._index["kernels"] = self._kernels()
        weights = [*graph.weights.values()]
        entry = {
            "point": point,
            "container": container,
            **_facts(content),
            "places": [places[n] for n in self._numbers],
            "containers": [weights[n].container for n in self._numbers],
        }
        self._store(entry, np.frombuffer(content, np.uint8))
        self._index["files"].append(entry)

    def _store(self, entry, content):
        """Stores what a file has otherwise than another one foretells."""
        if self._first is None:
            self._first = entry, content
        else:
            narrow = entry["container"] < 8
            old, before = self._eight if narrow else self._first
            changes = predict(before, old, entry, self._index) ^ content
            for *_, place, size in entry["products"]:
                changes[place : place + size] = 0
            entry["changes"] = f"kure/{len(self._changes) + 2}"
            self._changes[entry["changes"]] = zlib.compress(changes, 9)
        if entry["container"] == 8:
            self._eight = entry, content

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


def _facts(content):
    """Returns what the index says of a file, whatever it holds."""
    return {
        "length": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "products": scale_products(content),
    }
