"""The command `kure`: the tools by their names.

kure train --workdir=runs/kure

does what python tools/train.py --workdir=runs/kure does.
"""

import ast
import pathlib
import runpy
import sys

_TOOLS = pathlib.Path(__file__).resolve().parent
_FILES = {
    "train": "train",
    "calibrate": "calibrate",
    "sweep": "sweep",
    "compare": "compare",
    "export": "export_tflite",
    "artifact": "export_artifact",
    "materialize": "kure_materialize",
    "devices": "devices",
    "report": "report",
    "reproduce": "reproduce",
    "theory": "theory",
    "benchmark": "benchmark",
}


def main():
    """Runs the tool that the first argument names, with the others."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("--help", "-h", "help"):
        print(_help())
        return
    if name not in _FILES:
        print(
            f"error: Expected a command, one of {', '.join(_FILES)}. "
            f"Received: {name!r}. kure --help says what they do.",
            file=sys.stderr,
        )
        sys.exit(2)
    path = _path(name)
    sys.argv = [str(path), *arguments]
    sys.path.insert(0, str(_TOOLS))  # As for `python tools/NAME.py`.
    runpy.run_path(str(path), run_name="__main__")


def _path(name):
    """Returns the file of a command, in or beside the folder of the tools."""
    path = _TOOLS / f"{_FILES[name]}.py"
    return path if path.is_file() else _TOOLS.parent / path.name


def _help():
    lines = ["usage: kure COMMAND [--flag=value ...]", ""]
    for name in _FILES:
        source = _path(name).read_text(encoding="utf-8")
        says = ast.get_docstring(ast.parse(source)).partition("\n")[0]
        lines.append(f"  {name:<11} {says}")
    lines += ["", "kure COMMAND --help shows the flags of one."]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
