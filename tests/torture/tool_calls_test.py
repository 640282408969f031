"""Every flag of every tool, given wrong values."""

import collections
import os
import pathlib
import re
import tempfile
import zlib

import pytest
from absl.testing import absltest
from clear_refusal import tool_fault
from forked_tools import Call, run_all
from tool_files import write_tool_files
from tool_mistakes import ACCEPTED, BASES, CONTRADICTIONS, VALUES

pytestmark = pytest.mark.torture

LEGACY = os.environ.get("TF_USE_LEGACY_KERAS", "0").lower() in ("1", "true")
KERAS = "tf_keras" if LEGACY else "keras3"
# How many tools each wrong value is tried with.
_TOOLS_OF_A_FLAG = 2


class ToolCallsTest(absltest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = pathlib.Path(temporary.name)
        write_tool_files(cls.folder)
        made = cls._run(
            {
                "model": _call("train", "--workdir=trained", "--epochs=2"),
                **{tool: _call(tool, "--help") for tool in BASES},
            }
        )
        cls.flags = {
            tool: re.findall(r"^  --(?:\[no\])?(\w+)", made[tool][1], re.M)
            for tool in BASES
        }
        (cls.folder / "trained/model.keras").rename(cls.folder / "model.keras")

    @classmethod
    def _run(cls, calls):
        return run_all(calls, cls.folder, KERAS)

    def test_wrong_values_are_refused_clearly(self):
        calls = dict(_wrong_values(self.flags))
        before = set(self.folder.iterdir())

        results = self._run(calls)

        faults = {
            name: fault
            for name, result in results.items()
            if (fault := tool_fault(*result, _named(name)))
        }
        self._report("wrong values refused clearly", results, faults)
        left = {path.name for path in set(self.folder.iterdir()) - before}
        self.assertEqual(left - {"__pycache__"}, set())

    def test_contradictions_are_refused_clearly(self):
        calls = {name: _from_text(name) for name in CONTRADICTIONS}

        results = self._run(calls)

        faults = {
            name: fault
            for name, result in results.items()
            if (fault := tool_fault(*result, CONTRADICTIONS[name]))
        }
        self._report("contradictions refused clearly", results, faults)

    def test_what_looks_odd_and_is_right_is_accepted(self):
        results = self._run({name: _from_text(name) for name in ACCEPTED})

        faults = {
            name: f"exit code {code}"
            for name, (code, _) in results.items()
            if code
        }
        self._report("odd calls accepted", results, faults)

    def _report(self, what, results, faults):
        count = len(results)
        print(f"\n{KERAS}: {count - len(faults)} of {count} {what}.")
        for name, fault in faults.items():
            print(f"  {name}: {fault}\n    {results[name][1][-300:]}")
        self.assertEqual(faults, {})


def _call(tool, *arguments):
    return Call(f"{tool}.py", (f"--keras={KERAS}", *arguments))


def _wrong_values(flags_of):
    """Yields a name and a call for each wrong value and a few tools."""
    tools_of = collections.defaultdict(list)
    for tool, flags in flags_of.items():
        for flag in flags:
            tools_of[flag].append(tool)
    for flag, values in VALUES.items():
        for tool in tools_of[flag][:_TOOLS_OF_A_FLAG]:
            for value in values:
                name = f"{tool} --{flag}={value}"
                yield name, _from_text(name)


def _from_text(text):
    """Returns the call that a text writes, behind the base of its tool."""
    tool, _, flags = text.partition(" --")
    tool, *words = tool.split(" ")
    given = [f"--{flag}" for flag in flags.split(" --")] if flags else []
    if tool == "kure":
        return Call("kure.py", (*words, *given))
    workdir = f"--workdir=w{zlib.crc32(text.encode())}"
    return _call(tool, *BASES[tool], workdir, *words, *given)


def _named(name):
    """Returns what the refusal of a wrong value may name."""
    flag, _, value = name.partition(" --")[2].partition("=")
    words = *flag.split("_"), *re.split(r"[,:/ =]", value)
    return ("Split", *(word for word in words if word))


if __name__ == "__main__":
    absltest.main()
