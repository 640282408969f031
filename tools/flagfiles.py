"""Flagfiles: what the header of one says of a file that a flag names."""

import itertools
import pathlib


def origin(flag, path, arguments) -> str:
    """Returns where a file comes from, as the flagfile that names it says.

    The header of a flagfile that names a file from outside the repository
    says so in lines of which the first begins with "# --weights ".

    Args:
        flag: Name of the flag, such as "weights".
        path: The file that it names.
        arguments: The command line.

    Returns:
        The name of the flagfile and these lines; "" if there are none.
    """
    for file in _flagfiles(arguments):
        lines = file.read_text(encoding="utf-8").splitlines()
        starts = [
            n for n, x in enumerate(lines) if x.startswith(f"# --{flag} ")
        ]
        if f"--{flag}={path}" in lines and starts:
            first, *more = lines[starts[0] :]
            more = itertools.takewhile(lambda x: x.startswith("# "), more)
            said = " ".join(line.removeprefix("# ") for line in (first, *more))
            return f" {file}: {said}"
    return ""


def _flagfiles(arguments):
    """Yields the flagfiles in a command line, nested ones too."""
    for argument in arguments:
        name, _, path = argument.strip().partition("=")
        if name in ("--flagfile", "-flagfile") and pathlib.Path(path).is_file():
            yield pathlib.Path(path)
            yield from _flagfiles(pathlib.Path(path).read_text().splitlines())
