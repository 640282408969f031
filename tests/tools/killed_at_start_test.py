"""Tools killed before they compute: run again, they end and tidy up."""

import pathlib
import signal
import tempfile

import numpy as np
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


class KilledAtStartTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        """Runs each tool whole, and killed twice in another folder."""
        super().setUpClass()
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = pathlib.Path(temporary.name)
        models.small_cnn().save(cls.folder / "model.keras")
        rng = np.random.default_rng(0)
        calls, cls.killed = {}, {}
        for tool, flags in _CALLS.items():
            (cls.folder / f"{tool}_killed").mkdir()
            killed = f"{tool}.py", (*flags, f"--workdir={tool}_killed")
            # Importing TensorFlow takes longer than that anywhere.
            seconds = rng.uniform(0, 2)
            cls.killed[tool] = run_killed(*killed, cls.folder, seconds)
            calls[tool] = Call(f"{tool}.py", (*flags, f"--workdir={tool}"))
            # By half of its time it has made and traced the model.
            share = rng.uniform(0, 0.5)
            calls[f"{tool} killed"] = Call(*killed, killed_after=share)
            calls[f"{tool} again"] = Call(*killed, before=_left(tool))
        cls.results = run_all(calls, cls.folder, compat.KERAS_NAME)

    @parameterized.parameters(*_CALLS)
    def test_the_next_run_ends_and_leaves_no_temporary_file(self, tool):
        self.assertEqual(self.killed[tool], -signal.SIGKILL)
        self.assertEqual(self.results[f"{tool} killed"][0], -signal.SIGKILL)
        code, printed = self.results[f"{tool} again"]

        self.assertEqual(code, 0, printed)
        self.assertEqual(self._files(f"{tool}_killed"), self._files(tool))

    def _files(self, workdir):
        root = self.folder / workdir
        return {path.relative_to(root) for path in root.rglob("*")}


def _left(tool):
    """Returns what a kill while a file is being written leaves."""
    return {f"{tool}_killed/.tmp-999999999-0123456789ab-report.json": "{"}


if __name__ == "__main__":
    absltest.main()
