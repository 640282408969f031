"""Processes in which architectures are measured."""

import os
import pathlib
import subprocess
import sys

import pytest
from absl.testing import absltest, parameterized

pytestmark = pytest.mark.tool_flow

TOOLS = pathlib.Path(__file__).resolve().parent.parent.parent / "tools"
_ASK = """
import os
import architectures
print(architectures._in_a_process(os.getenv, "MALLOC_ARENA_MAX"))
"""


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


if __name__ == "__main__":
    absltest.main()
