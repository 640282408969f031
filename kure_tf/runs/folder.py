"""The folder of a run: whose it is, and what is given back if it fails."""

import contextlib
import os
import pathlib
import shutil

from kure_tf.files import (
    made_folder,
    remove_leftovers,
    sha256_of,
    write_atomically,
)

_DIGEST = "# content of --"


@contextlib.contextmanager
def run_folder(path, tool, flags, *, files=()):
    """Gives the folder at `path`, made and marked as that of one run.

    The mark is the file `<tool>.cfg`: a flagfile that repeats the run. The
    same flags continue in the folder, others are refused. A file that a flag
    names is the same if its name or its content is. Rows and files in the
    folder say themselves which content they are of.

    If the block raises before it has left a file in the folder, the mark is
    taken back, and the folder if it is new: it is free for mended flags. What
    killed processes left half-written is removed.

    Args:
        path: The folder.
        tool: Name of the tool, such as "sweep".
        flags: `{name: text}` of what the run is; lines of a text are values
            of a flag that is given several times.
        files: Names of the flags that name files to read, one on each line.

    Raises:
        ValueError: If the folder cannot be made, or is that of another run; if
            a value is one that a flagfile cannot hold.
    """
    folder = pathlib.Path(path)
    mark = folder / f"{tool}.cfg"
    flags = dict(sorted(flags.items()))
    _check_values(flags)
    is_there = os.path.isdir(folder)
    made_folder(folder)
    before = set(folder.iterdir()) if is_there else None
    digests = {name: _digest(flags.get(name)) for name in files}
    is_new = not mark.is_file()
    if not is_new:
        _check_same_run(mark, flags, digests)
    remove_leftovers(folder)
    try:
        _write(mark, tool, flags, digests)
        yield folder
    except BaseException:
        if is_new:
            _take_back(mark, before)
        raise


def _check_values(flags):
    for name, text in flags.items():
        for line in text.split("\n"):
            if line != line.strip() or not line.isprintable():
                raise ValueError(
                    f"Expected a value of --{name} without blanks at its ends "
                    "and without control characters, which the flagfile in "
                    f"the workdir cannot hold. Received: {line!r}."
                )


def _take_back(mark, before):
    folder = mark.parent
    new = set(folder.iterdir()) - {*(before or ()), mark}
    if any(path.is_file() for one in new for path in [one, *one.rglob("*")]):
        return
    for empty in new:
        shutil.rmtree(empty)
    mark.unlink(missing_ok=True)
    if before is None:
        folder.rmdir()


def _write(mark, tool, flags, digests):
    lines = [
        f"# tools/{tool}.py: the flags of this run; repeat it with",
        f"# python tools/{tool}.py --flagfile={mark} --workdir=...",
        *(f"{_DIGEST}{name}: {d}" for name, d in digests.items() if d),
        *(
            f"--{name}={line}"
            for name, text in flags.items()
            for line in text.split("\n")
        ),
    ]
    write_atomically(mark, "\n".join(lines) + "\n")


def _read(mark):
    """Returns the flags and the digests of the files in a mark."""
    flags, digests = {}, {}
    # What is no text is another value, or a comment that nobody compares.
    text = mark.read_text(encoding="utf-8", errors="replace")
    for line in text.splitlines():
        if line.startswith(_DIGEST):
            name, _, digest = line.removeprefix(_DIGEST).partition(": ")
            digests[name] = digest
        elif line.startswith("--"):
            name, _, text = line[2:].partition("=")
            flags[name] = f"{flags[name]}\n{text}" if name in flags else text
    return flags, digests


def _digest(text):
    """Returns the SHA-256 of the file of each line; None if one is no file."""
    found = [sha256_of(line) for line in (text or "").split("\n")]
    return None if None in found else " ".join(found)


def _check_same_run(mark, here, digests):
    there, digests_there = _read(mark)
    differing = [
        name
        for name in sorted(set(here) | set(there))
        if here.get(name) != there.get(name)
        and not (digests.get(name) and digests[name] == digests_there.get(name))
    ]
    if differing:
        raise ValueError(
            f"Expected the workdir {str(mark.parent)!r} to be new or of this "
            "run. It holds another run: there "
            + ", ".join(f"--{n}={there.get(n)}" for n in differing)
            + "; here "
            + ", ".join(f"--{n}={here.get(n)}" for n in differing)
            + ". Choose another --workdir, repeat the flags of that run "
            f"(--flagfile={mark}), or delete the folder."
        )
