"""A record of function values, so that an interrupted search can go on."""

import hashlib
import json
import pathlib

from kure_tf.files import read_json, write_json

_FORMAT = "kure_tf journal of losses 1"


class Journal:
    """Calls a function of step sizes, and remembers its values in a file.

    A deterministic search that is run again asks for the same step sizes in
    the same order: as long as it does, the values come from the file, and the
    search goes on where it was interrupted.

    Args:
        function: `StepSizes -> float`.
        path: The file, written anew after each value, atomically; None for
            no file.
        key: What the search is about: a dictionary that JSON can hold. A file
            of another search is refused.

    Attributes:
        count: Number of values so far.

    Raises:
        ValueError: If the file holds something else.
    """

    def __init__(self, function, path, key):
        self._function = function
        self._path = None if path is None else pathlib.Path(path)
        self._key = json.loads(json.dumps(key))
        self._entries = self._read()
        self.count = 0

    def __call__(self, step_sizes) -> float:
        digest = _digest(step_sizes)
        if self.count < len(self._entries):
            known, value = self._entries[self.count]
            if known == digest:
                self.count += 1
                return float(value)
        value = float(self._function(step_sizes))
        # What comes after belongs to another course of the search. As text,
        # since JSON has no word for the NaN that a wild step gives.
        self._entries = [*self._entries[: self.count], [digest, repr(value)]]
        self.count += 1
        self._write()
        return value

    def _read(self):
        if self._path is None or not self._path.is_file():
            return []
        try:
            content = read_json(self._path)
            found, entries = content["key"], content["losses"]
            right = content["format"] == _FORMAT
        except (ValueError, KeyError) as error:
            raise ValueError(
                f"Expected {str(self._path)!r} to be the journal of a search. "
                f"Cannot read it: {error}. Delete it, or choose another path."
            ) from error
        if not right or found != self._key:
            raise ValueError(
                f"Expected {str(self._path)!r} to be the journal of this "
                f"search, {self._key}. It is that of {found}. Delete it, or "
                "choose another path."
            )
        return entries

    def _write(self):
        if self._path is not None:
            content = {"key": self._key, "losses": self._entries}
            write_json(self._path, {"format": _FORMAT, **content})


def _digest(step_sizes):
    """Returns a text that tells one set of step sizes from another."""
    found = hashlib.sha256()
    for path, step in step_sizes.tensors.items():
        found.update(path.encode() + step.step_size.tobytes())
    return found.hexdigest()[:16]
