"""Processes in which architectures are measured, and what is refused."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import pytest
from absl.testing import absltest, parameterized

pytestmark = pytest.mark.tool_flow

TOOLS = pathlib.Path(__file__).resolve().parent.parent.parent / "tools"
_ASK = """
import os
import architectures
print(architectures._in_a_process(os.getenv, "MALLOC_ARENA_MAX"))
"""
_EVALUATE = """
import signal
import sys
import architectures
# What a shell starts in the background would ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
architectures._in_a_process(eval, sys.argv[1])
"""
_SLEEP = "print('begun', flush=True) or __import__('time').sleep(600)"


def _start(*command, **environment):
    return subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, "PYTHONPATH": str(TOOLS), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class ArchitecturesTest(parameterized.TestCase):
    @parameterized.parameters(({}, "1"), ({"MALLOC_ARENA_MAX": "3"}, "3"))
    def test_threads_share_one_heap_unless_others_are_asked_for(
        self, given, expected
    ):
        kept = {k: v for k, v in os.environ.items() if k != "MALLOC_ARENA_MAX"}
        printed = subprocess.run(
            [sys.executable, "-c", _ASK],
            env={**kept, "PYTHONPATH": str(TOOLS), **given},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        self.assertEqual(printed.split(), [expected])

    def test_a_process_that_the_system_ends_is_an_error(self):
        process = _start("-c", _EVALUATE, "__import__('os')._exit(9)")

        _, said = process.communicate(timeout=60)

        self.assertEqual(process.returncode, 1)
        self.assertIn("ChildProcessError: The process that measured", said)

    @parameterized.parameters(signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
    def test_a_process_ends_with_the_tool(self, number):
        process = _start("-c", _EVALUATE, _SLEEP)
        self.assertEqual(process.stdout.readline(), "begun\n")

        process.send_signal(number)

        # The output ends when all that may write it have ended.
        process.communicate(timeout=60)

    @parameterized.parameters(
        ("resnet20", "name:input"),
        ("resnet20:0", "name:input"),
        ("resnet20:32:keras", "name:input"),
        ("resnet:32", "There is no 'resnet'"),
        ("missing.keras:32", "There is no 'missing.keras'"),
        ("large_models.missing:32", "There is no 'large_models.missing'"),
    )
    def test_models_that_there_are_not_are_refused(self, models, expected):
        folder = self.enter_context(tempfile.TemporaryDirectory())
        process = _start(
            TOOLS / "any_model.py",
            f"--models={models}",
            f"--workdir={folder}/new",
            PYTHONPATH=f"{TOOLS}:{TOOLS.parent}",
        )

        _, said = process.communicate(timeout=120)

        self.assertEqual(process.returncode, 2)
        self.assertIn(expected, said)
        self.assertNotIn("Traceback", said)
        self.assertFalse(os.path.exists(f"{folder}/new"))


if __name__ == "__main__":
    absltest.main()
