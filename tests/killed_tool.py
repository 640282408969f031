"""One tool in a process of its own, from the import of TensorFlow on."""

import subprocess
import sys

from forked_tools import TOOLS


def run_killed(tool, arguments, folder, killed_after=None):
    """Returns the exit code of a tool, -9 if it was killed.

    Args:
        tool: Such as "train.py".
        arguments: Its arguments.
        folder: The working directory.
        killed_after: The tool is killed after so many seconds; None: never.
    """
    process = subprocess.Popen(
        [sys.executable, TOOLS / tool, *arguments],
        cwd=folder,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        return process.wait(killed_after)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
