"""Whole files or none, and values that JSON can carry."""

import contextlib
import hashlib
import json
import math
import numbers
import os
import pathlib
import re
import secrets

SEAL = "sha256"  # The member of a JSON object that is over all others.
# What `replacing` calls its temporary files, with the process that writes one.
_TEMPORARY = re.compile(r"\.tmp-([0-9]{1,9})-[0-9a-f]{12}-.*", re.DOTALL)


def write_atomically(path, data: str | bytes) -> pathlib.Path:
    """Writes `data` to `path`, replacing what is there in one step.

    The data goes to a hidden temporary file in the same folder, is flushed to
    the disk and then renamed over `path`. Whatever interrupts this - a full
    disk, Ctrl-C, a kill - `path` still holds its old content (or still does
    not exist). Only a kill can leave the temporary file behind.

    Args:
        path: The file. Missing parent folders are created. A symbolic link
            is followed: its target is replaced, the link stays.
        data: The new content. Text is written as UTF-8, without any
            translation of line ends.

    Returns:
        `path` as a `pathlib.Path`.

    Raises:
        TypeError: If `data` is neither text nor bytes.
        OSError: If the file cannot be written, of the kind that the system
            reports (`PermissionError` and so on); its message names `path`.
    """
    path = pathlib.Path(path)
    if isinstance(data, str):
        data = data.encode("utf-8")
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(
            f"Expected the content of {str(path)!r} as str or bytes. "
            f"Received: {type(data).__name__}."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise _named(error, path) from error
    return path


@contextlib.contextmanager
def replacing(path):
    """Gives a temporary path; the file written there replaces `path`.

    For writers that want a path, such as Keras' `model.save`: the temporary
    name ends as that of `path` does. If the block raises, `path` stays what
    it was and the temporary file is removed.

    Args:
        path: The file, in a folder that exists. A symbolic link is followed.
    """
    target = pathlib.Path(os.path.realpath(path))
    # In the same folder, because a rename is atomic only within one file
    # system. The name is cut, because it must not exceed the system's limit.
    temporary = target.with_name(
        f".tmp-{os.getpid()}-{secrets.token_hex(6)}-{target.name[-32:]}"
    )
    try:
        yield temporary
        with open(temporary, "rb") as file:
            # A disk may report that it is full only now.
            os.fsync(file.fileno())
        _keep_mode(target, temporary)
        os.replace(temporary, target)
    except BaseException:  # Ctrl-C too must not leave the temporary file.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def remove_leftovers(folder):
    """Removes temporary files that killed processes left in a folder.

    Those of processes that still run on this machine stay.

    Args:
        folder: The folder; those below it are gone through as well.
    """
    for path in pathlib.Path(folder).rglob(".tmp-*"):
        named = _TEMPORARY.fullmatch(path.name)
        if named and not _is_running(int(named[1])):
            path.unlink(missing_ok=True)


def write_json(path, content) -> pathlib.Path:
    """Writes an object as indented JSON, as `write_atomically` writes.

    Its last member is the seal, by which `unsealed` tells damage.
    """
    sealed = {**content, SEAL: seal_of(content)}
    return write_atomically(path, json.dumps(sealed, indent=1) + "\n")


def seal_of(content) -> str:
    """Returns the SHA-256 of plain values, as hex digits.

    It is that of what a reader of their JSON gets: the order of members and
    blanks do not count.
    """
    read = json.loads(json.dumps(content))
    text = json.dumps(read, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def unsealed(content, source) -> dict:
    """Returns an object of a JSON file without its seal.

    Args:
        content: The object. Without a seal it is taken as it is: somebody
            wrote it by hand, or an older kure_tf.
        source: What an error calls it.

    Raises:
        ValueError: If the seal does not fit.
    """
    content = dict(content)
    seal = content.pop(SEAL, None)
    if seal is not None and seal != seal_of(content):
        raise ValueError(
            f"Expected {source} as it was written. Its member {SEAL!r} does "
            "not fit: the file was changed since. Write it again; or, if the "
            f"change is meant, take the member {SEAL!r} out."
        )
    return content


def parse_json(text):
    """Returns the value that a JSON text stands for.

    Args:
        text: Text or bytes of anybody's.

    Raises:
        ValueError: If it is no JSON, or JSON that readers take differently:
            an object that names a member twice, NaN, infinity, or lists
            within lists beyond Python's depth.
    """
    try:
        return json.loads(
            text, object_pairs_hook=_members, parse_constant=_refuse_constant
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _members(pairs):
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"members named twice: {twice}")
    return members


def _refuse_constant(name):
    raise ValueError(f"{name} is not JSON")


def parsed(text, what, source):
    """Returns `parse_json(text)`; the error says what `source` should hold."""
    try:
        return parse_json(text)
    except ValueError as error:
        raise ValueError(
            f"Expected {what} in JSON. {source} is not valid JSON ({error}): "
            "it is truncated or of another kind. Write it again."
        ) from error


def made_folder(path) -> pathlib.Path:
    """Returns the path of a folder, which is made if it is missing.

    Raises:
        ValueError: If it is none and cannot be made one.
    """
    folder = pathlib.Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise ValueError(
            "Expected a workdir that is a folder or can be made one. "
            f"Received {str(folder)!r}: {error}. Choose another one (tools: "
            "--workdir)."
        ) from error
    return folder


def sha256_of(path) -> str | None:
    """Returns the SHA-256 of a file, as hex digits; None if there is none."""
    path = pathlib.Path(path)
    if not path.is_file():
        return None
    return hashlib.sha256(path.read_bytes()).hexdigest()


def existing(path, what) -> pathlib.Path:
    """Returns the path of a file, or raises a FileNotFoundError."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"Expected {what}. Received: {str(path)!r}, which does not exist."
        )
    return path


def read_json(path) -> dict:
    """Returns the JSON object in a file of the project's own.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it holds no JSON object (it was cut, or is foreign), or
            was changed since it was written.
    """
    path = pathlib.Path(path)
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        content = error
    if not isinstance(content, dict):
        raise ValueError(
            f"Expected {str(path)!r} to hold one JSON object, as it was "
            "written. It is damaged or foreign: "
            f"{str(content)[:80]}. Delete it, or choose another folder."
        )
    return unsealed(content, repr(str(path)))


def jsonable(value, name="value"):
    """Returns `value` as None, bool, int, float, str, list or dict.

    NumPy scalars and arrays become numbers and lists, tuples become lists,
    paths and the keys of dictionaries become text. A number that is not
    finite becomes None ("not available"), since JSON has no word for it.

    Args:
        value: Anything made of these.
        name: What an error calls it.

    Raises:
        TypeError: If there is something else in it.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, dict):
        return {
            str(key): jsonable(item, f"{name}[{str(key)!r}]")
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [jsonable(item, f"{name}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, pathlib.PurePath):
        return str(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # NumPy's arrays and booleans.
        return jsonable(value.tolist(), name)
    raise TypeError(
        f"Expected {name} to be made of numbers, text, lists and "
        f"dictionaries. Received: {type(value).__name__}."
    )


def _is_running(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # It is there, but not ours.
        return True
    return True


def _keep_mode(target, temporary):
    with contextlib.suppress(OSError):
        temporary.chmod(target.stat().st_mode)


def _named(error, path):
    """Returns `error` with the file and the way out in its message."""
    reason = error.strerror or str(error)
    message = (
        f"Could not write {str(path)!r}: {reason}. Nothing was changed there: "
        "free some space or choose another folder, then run again"
    )
    if error.errno is None:
        return OSError(message)
    return OSError(error.errno, message, str(path))
