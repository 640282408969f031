"""Tools killed before they compute: run again, they end and tidy up."""

import json
import pathlib
import re
import signal
import tempfile

import pytest
from absl.testing import absltest, parameterized
from forked_tools import Call, run_all
from killed_tool import run_killed

from kure_tf import compat, models

pytestmark = pytest.mark.tool_flow

_SAVED = ("--model=model.keras",)  # With the same weights each time.
_CALLS = {
    "train": (*_SAVED, "--epochs=1", "--train_images=64"),
    "sweep": (*_SAVED, "--points=4/FP", "--ptq=minmax"),
    "export_tflite": (*_SAVED, "--point=8/8", "--ptq=minmax"),
}
# Of the time of a whole run, when the tool is killed once more.
_SHARES = {"train": 0.15, "sweep": 0.3, "export_tflite": 0.4}


class KilledAtStartTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        """Runs each tool whole, and killed twice in another folder."""
        super().setUpClass()
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = pathlib.Path(temporary.name)
        models.small_cnn().save(cls.folder / "model.keras")
        calls, cls.killed = {}, {}
        for tool, flags in _CALLS.items():
            (cls.folder / f"{tool}_killed").mkdir()
            killed = f"{tool}.py", (*flags, f"--workdir={tool}_killed")
            # While TensorFlow is imported.
            cls.killed[tool] = run_killed(*killed, cls.folder, 0.5)
            calls[tool] = Call(f"{tool}.py", (*flags, f"--workdir={tool}"))
            # While the model is made and traced.
            calls[f"{tool} killed"] = Call(*killed, killed_after=_SHARES[tool])
            calls[f"{tool} again"] = Call(*killed, before=_left(tool))
        cls.results = run_all(calls, cls.folder, compat.KERAS_NAME)

    @parameterized.parameters(*_CALLS)
    def test_the_next_run_ends_and_leaves_no_temporary_file(self, tool):
        self.assertEqual(self.killed[tool], -signal.SIGKILL)
        self.assertEqual(self.results[f"{tool} killed"][0], -signal.SIGKILL)
        code, printed = self.results[f"{tool} again"]

        self.assertEqual(code, 0, printed)
        self.assertEqual(self._files(f"{tool}_killed"), self._files(tool))
        for name, values in self._values(tool).items():
            self.assertEqual(self._values(f"{tool}_killed")[name], values, name)

    def _files(self, workdir):
        root = self.folder / workdir
        return {path.relative_to(root) for path in root.rglob("*")}

    def _values(self, workdir):
        """Returns what a run's JSON files say, but for times and places."""
        root = self.folder / workdir
        found = {
            path.name: _without_times(json.loads(path.read_text()))
            for path in root.rglob("*.json")
        }
        self.assertNotEmpty(found)
        return found


def _without_times(value):
    """Returns a JSON value without what differs from run to run."""
    if isinstance(value, dict):
        return {
            key: _without_times(part)
            for key, part in value.items()
            if not re.search(
                "second|latency|date|time|workdir|path|source|sha", key
            )
        }
    if isinstance(value, list):
        return [_without_times(part) for part in value]
    return value


def _left(tool):
    """Returns what a kill while a file is being written leaves."""
    return {f"{tool}_killed/.tmp-999999999-0123456789ab-report.json": "{"}


if __name__ == "__main__":
    absltest.main()
