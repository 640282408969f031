"""What a search for nested codes has found so far, in a file."""

import pathlib

import numpy as np

from kure_tf.settings.array_file import digest_of, read_arrays, write_arrays

_FORMAT = "kure_tf nested rounding in progress 1"


class NestedProgress:
    """Remembers what was found for each kernel, so that a search can go on.

    Args:
        path: The file, written anew after each kernel: the old one or the new
            one, never half. None for no file.
        key: Plain values and arrays that the search depends on. A file of
            another search is refused.

    Raises:
        ValueError: If the file is of another kind, damaged, or of another
            search.
    """

    def __init__(self, path, key):
        self._path = None if path is None else pathlib.Path(path)
        self._key = digest_of(_FORMAT, key)
        self._found = self._read()

    def __contains__(self, kernel_path):
        return kernel_path in self._found

    def __getitem__(self, kernel_path) -> dict:
        return self._found[kernel_path]

    def add(self, kernel_path, found):
        """Keeps what was found for one kernel: plain values and arrays."""
        self._found[kernel_path] = found
        if self._path is not None:
            content = {"key": self._key, "kernels": self._found}
            write_arrays(self._path, _FORMAT, content)

    def _read(self):
        if self._path is None or not self._path.is_file():
            return {}
        content = read_arrays(self._path, _FORMAT)
        if content.get("key") != self._key:
            raise ValueError(
                "Expected the progress of this search: the same weights, "
                f"images and options. {str(self._path)!r} holds that of "
                "another one. Name another file, or remove it."
            )
        return content["kernels"]


def images_of(batches) -> list[np.ndarray]:
    """Returns the inputs of batches as arrays, for a key."""
    found = []
    for batch in batches:
        inputs = batch.inputs
        if isinstance(inputs, dict):
            inputs = [inputs[name] for name in sorted(inputs)]
        many = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        found.extend(np.asarray(one) for one in many)
    return found
