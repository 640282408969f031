"""One file for plain values with arrays among them: no pickle, checked."""

import hashlib
import io
import json

import numpy as np

from kure_tf.files import existing, jsonable, write_atomically

_HEADER, _DIGEST = "header", "sha256"
_ARRAY = "kure_tf array"  # {"kure_tf array": "0"} stands for the entry "0".


def write_arrays(path, file_format, content, *, compressed=True):
    """Writes `content` to `path`: the old file or the new one, never half.

    The file is an .npz archive: its entry "header" is JSON text, the arrays
    are entries "0", "1", ..., and "sha256" is a digest of them all.

    Args:
        path: The file.
        file_format: Text that says what it holds, such as "kure_tf setting 1".
        content: Dictionaries, lists, text, numbers, None and arrays of numbers.
        compressed: Whether to spend time on a smaller file.

    Raises:
        TypeError: If there is something else in `content`.
        OSError: As `write_atomically`.
    """
    header, arrays = _entries(file_format, content)
    buffer = io.BytesIO()
    save = np.savez_compressed if compressed else np.savez
    digest = _digest(header, arrays)
    save(buffer, **{_HEADER: header, _DIGEST: digest, **arrays})
    write_atomically(path, buffer.getvalue())


def digest_of(file_format, content) -> str:
    """Returns the digest that a file of `content` would have, as hex digits.

    Raises:
        TypeError: As `write_arrays`.
    """
    return _digest(*_entries(file_format, content)).tobytes().hex()


def read_arrays(path, file_format):
    """Returns the `content` that `write_arrays` wrote.

    Nothing in the file is run: pickled objects are refused.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is of another kind, truncated, or changed since
            it was written.
    """
    path = existing(path, f"a file {file_format!r}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header, digest = arrays.pop(_HEADER), arrays.pop(_DIGEST)
        tree = json.loads(header.tobytes())
        found = tree["format"]
    # zipfile, zlib and NumPy have a dozen kinds of errors for a broken file.
    except Exception as error:
        raise ValueError(
            f"Expected {_named(file_format, path)}. It is truncated, damaged "
            f"or of another kind: {error}. Write it again."
        ) from error
    if found != file_format:
        raise ValueError(
            f"Expected {_named(file_format, path)}. It says {found!r}: read it "
            "with the version of kure_tf that wrote it."
        )
    if not np.array_equal(digest, _digest(header, arrays)):
        raise ValueError(
            f"Expected {_named(file_format, path)} as it was written. Its "
            "digest does not fit: it was changed since. Write it again."
        )
    return _with_arrays(tree["content"], arrays)


def _entries(file_format, content):
    """Returns the header and `{name: array}` of a file of `content`."""
    arrays = {}
    tree = {"format": file_format, "content": _without_arrays(content, arrays)}
    return np.frombuffer(json.dumps(tree).encode(), np.uint8), arrays


def _named(file_format, path):
    return f"a file {file_format!r} at {str(path)!r}"


def _without_arrays(value, arrays):
    """Returns `value` as JSON has it; its arrays are added to `arrays`."""
    if isinstance(value, dict):
        return {
            str(key): _without_arrays(item, arrays)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_without_arrays(item, arrays) for item in value]
    if not isinstance(value, np.ndarray):
        return jsonable(value)
    if value.dtype.kind not in "biuf":
        raise TypeError(
            f"Expected arrays of numbers. Received one of {value.dtype}."
        )
    name = str(len(arrays))
    arrays[name] = value
    return {_ARRAY: name}


def _with_arrays(value, arrays):
    if isinstance(value, list):
        return [_with_arrays(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {_ARRAY}:
        return arrays[value[_ARRAY]]
    return {key: _with_arrays(item, arrays) for key, item in value.items()}


def _digest(header, arrays):
    found = hashlib.sha256(header.tobytes())
    for name in sorted(arrays):
        array = arrays[name]
        found.update(f"{name} {array.dtype.str} {array.shape}".encode())
        found.update(array.tobytes())
    return np.frombuffer(found.digest(), np.uint8)
