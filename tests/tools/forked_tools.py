"""Runs tools one after the other, TensorFlow imported once for all of them.

Reads a JSON list of `[tool, [arguments]]` from the standard input and writes a
JSON list of `[exit code, what was printed]`. Each tool runs in a process of
its own, forked before TensorFlow has started any thread.
"""

import json
import os
import pathlib
import runpy
import sys
import tempfile

TOOLS = pathlib.Path(__file__).resolve().parent.parent.parent / "tools"


def _run(tool, arguments):
    with tempfile.TemporaryFile("w+") as printed:
        child = os.fork()
        if not child:
            for stream in (1, 2):
                os.dup2(printed.fileno(), stream)
            sys.argv = [str(TOOLS / tool), *arguments]
            sys.path.insert(0, str(TOOLS))
            runpy.run_path(sys.argv[0], run_name="__main__")
            sys.exit()
        _, status = os.waitpid(child, 0)
        printed.seek(0)
        return os.waitstatus_to_exitcode(status), printed.read()


def main():
    import kure_tf.sweeps  # noqa: F401

    cases = json.load(sys.stdin)
    results = []
    for tool, arguments in cases:
        results.append(_run(tool, arguments))
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
