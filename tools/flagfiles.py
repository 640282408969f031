"""Flagfiles: what the header of one says of a file that a flag names."""

import pathlib
import re


def origin(flag, path, arguments) -> str:
    """Returns where a file comes from, as the flagfile that names it says.

    The header of a flagfile that names a file from outside the repository has
    a sentence that begins with the flag: "# --weights are ...".

    Args:
        flag: Name of the flag, such as "weights".
        path: The file that it names.
        arguments: The command line.

    Returns:
        The sentence, with the name of the flagfile; "" if there is none.
    """
    for file in _flagfiles(arguments):
        text = file.read_text(encoding="utf-8")
        if f"--{flag}={path}" in text.splitlines():
            header = " ".join(
                line.removeprefix("#").strip()
                for line in text.splitlines()
                if line.startswith("#")
            )
            sentence = re.search(rf"--{flag} .*?\.(?= [-A-Z]|$)", header)
            return f" {file}: {sentence[0]}" if sentence else ""
    return ""


def _flagfiles(arguments):
    """Yields the flagfiles in a command line, nested ones too."""
    for argument in arguments:
        name, _, path = argument.strip().partition("=")
        if name in ("--flagfile", "-flagfile") and pathlib.Path(path).is_file():
            yield pathlib.Path(path)
            yield from _flagfiles(pathlib.Path(path).read_text().splitlines())
