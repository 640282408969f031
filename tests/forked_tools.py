"""Runs tools one after the other, TensorFlow imported once for all of them.

`run_all` starts this file as a program of its own, which forks a process for
each tool before TensorFlow has started any thread.
"""

import dataclasses
import json
import os
import pathlib
import runpy
import signal
import subprocess
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve()
TOOLS = HERE.parent.parent / "tools"


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a tool.

    Attributes:
        tool: Such as "train.py".
        arguments: Its arguments.
        killed_at: The tool is killed once there is a file of this path.
        killed_after: The tool is killed after this share of the time that
            the first call of the same tool took.
        keeping: The file `killed_at` is then copied to this path.
        before: Files to write before the call: `{path: text}`.
    """

    tool: str
    arguments: tuple[str, ...] = ()
    killed_at: str | None = None
    killed_after: float | None = None
    keeping: str | None = None
    before: dict = dataclasses.field(default_factory=dict)


def run_all(calls, folder, keras):
    """Returns `{name: (exit code, what was printed)}` of `{name: Call}`.

    Args:
        calls: What to run, in this order.
        folder: The working directory.
        keras: "tf_keras" or "keras3".
    """
    legacy = str(int(keras == "tf_keras"))
    process = subprocess.run(
        [sys.executable, str(HERE)],
        input=json.dumps([dataclasses.asdict(c) for c in calls.values()]),
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "TF_USE_LEGACY_KERAS": legacy},
    )
    if process.returncode:
        raise RuntimeError(process.stderr)
    results = map(tuple, json.loads(process.stdout))
    return dict(zip(calls, results, strict=True))


def _run(call, seconds):
    """Returns exit code and text of a call.

    Args:
        call: The `Call`.
        seconds: `{tool: how long its first call took}`, to which this is added.
    """
    start = time.monotonic()
    for path, text in call.before.items():
        pathlib.Path(path).write_text(text)
    with tempfile.TemporaryFile("w+") as printed:
        child = os.fork()
        if not child:
            _become(call, printed)
        if call.killed_at:
            _kill_at(child, pathlib.Path(call.killed_at), call.keeping)
        if call.killed_after is not None:
            _kill_after(child, call.killed_after * seconds[call.tool])
        _, status = os.waitpid(child, 0)
        seconds.setdefault(call.tool, time.monotonic() - start)
        printed.seek(0)
        return os.waitstatus_to_exitcode(status), printed.read()


def _become(call, printed):
    for stream in (1, 2):
        os.dup2(printed.fileno(), stream)
    sys.argv = [str(TOOLS / call.tool), *call.arguments]
    sys.path.insert(0, str(TOOLS))
    code = _exit_code()
    sys.stdout.flush()
    sys.stderr.flush()
    # A tidy end of a process that holds TensorFlow takes a second.
    os._exit(code)


def _exit_code():
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as ended:
        return int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _runs(child):
    ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, child, ended) is None


def _kill_after(child, seconds):
    end = time.monotonic() + seconds
    while _runs(child):
        if time.monotonic() >= end:
            os.kill(child, signal.SIGKILL)
            return
        time.sleep(0.005)


def _kill_at(child, path, keeping):
    while _runs(child):
        if path.exists():
            os.kill(child, signal.SIGSTOP)
            if keeping:
                pathlib.Path(keeping).write_bytes(path.read_bytes())
            os.kill(child, signal.SIGKILL)
            return
        time.sleep(0.005)


def main():
    import matplotlib.pyplot  # noqa: F401

    import kure_tf.runs  # noqa: F401

    calls, seconds = [Call(**call) for call in json.load(sys.stdin)], {}
    json.dump([_run(call, seconds) for call in calls], sys.stdout)


if __name__ == "__main__":
    main()
