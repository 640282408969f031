"""Tools killed at any moment: run again, they end as if nothing had been."""

import json
import os
import pathlib
import signal
import tempfile
import time

import numpy as np
import pytest
from absl.testing import absltest, parameterized
from forked_tools import Call, run_all
from killed_tool import run_killed

pytestmark = pytest.mark.torture

LEGACY = os.environ.get("TF_USE_LEGACY_KERAS", "0").lower() in ("1", "true")
KERAS = "tf_keras" if LEGACY else "keras3"
_SAVED = "--model=model.keras"
_TRAINING = ("--epochs=3", "--train_images=200", "--kurtosis_coefficient=1")
_CALLS = {
    "train": _TRAINING,
    "calibrate": (_SAVED, "--point=4/4", "--ptq=lapq"),
    "sweep": (_SAVED, "--points={4..2}/FP", "--points=4/4 x{0.9,1.1}"),
    "devices": (_SAVED, "--profiles=int8_per_tensor,w4a8_per_channel"),
    "export_tflite": (_SAVED, "--point={8,4}/8"),
    "export_artifact": (_SAVED, "--bits=8,3", "--images=128"),
}
_ROUNDS = 4  # Of each tool,
_KILLS = 2  # killed so often in each before it may end.
_COLD_KILLS = 20  # Of a process that begins with importing TensorFlow.


class KillsTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.rng = np.random.default_rng(0)

    def test_run_again_they_end_with_the_same_values(self):
        self._make_model()

        results = run_all(dict(self._calls()), self.folder, KERAS)

        killed = [code for code, _ in results.values() if code < 0]
        print(f"\n{KERAS}: {len(killed)} kills of warm processes.")
        failed = {name: r for name, r in results.items() if r[0] > 0}
        self.assertEqual(failed, {})
        for tool in _CALLS:
            for number in range(_ROUNDS):
                self._check_same(tool, f"{tool}{number}")

    @parameterized.parameters("train", "sweep", "export_tflite")
    def test_kills_while_everything_is_loaded_leave_nothing_wrong(self, tool):
        if tool != "train":
            self._make_model()
        start = time.monotonic()
        self._run_cold(tool, tool)
        seconds = time.monotonic() - start
        killed = sum(
            self._run_cold(tool, "killed", self.rng.uniform(0, seconds))
            == -signal.SIGKILL
            for _ in range(_COLD_KILLS)
        )
        print(f"\n{KERAS}: {killed} kills of {tool} from its start.")

        self.assertEqual(self._run_cold(tool, "killed"), 0)

        self._check_same(tool, "killed")

    def _make_model(self):
        call = Call("train.py", (f"--keras={KERAS}", *_TRAINING, "--workdir=m"))
        ((code, printed),) = run_all({"m": call}, self.folder, KERAS).values()
        self.assertEqual(code, 0, printed)
        (self.folder / "m/model.keras").rename(self.folder / "model.keras")

    def _calls(self):
        """Yields the names and calls: whole ones, then killed ones."""
        for tool, flags in _CALLS.items():
            yield tool, _call(tool, flags, tool)
            for number in range(_ROUNDS):
                name = f"{tool}{number}"
                for kill in range(_KILLS):
                    share = float(self.rng.uniform(0, 1.1))
                    yield f"{name} {kill}", _call(tool, flags, name, share)
                yield name, _call(tool, flags, name)

    def _run_cold(self, tool, workdir, killed_after=None):
        call = _call(tool, _CALLS[tool], workdir)
        return run_killed(call.tool, call.arguments, self.folder, killed_after)

    def _check_same(self, whole, killed):
        found, expected = self._values(killed), self._values(whole)
        self.assertEqual(found.keys(), expected.keys(), killed)
        for name, value in expected.items():
            self.assertEqual(found[name], value, f"{killed}/{name}")

    def _values(self, workdir):
        """Returns `{file: what is in it but for times}` of a workdir."""
        root = self.folder / workdir
        readers = {
            ".json": lambda path: _timeless(json.loads(path.read_text())),
            ".tflite": pathlib.Path.read_bytes,
            ".kure": pathlib.Path.read_bytes,
        }
        return {
            str(path.relative_to(root)): readers.get(path.suffix, _nothing)(
                path
            )
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }


def _nothing(path):
    """Returns None: pages and archives have times in them."""


def _timeless(value):
    """Returns plain values without what differs from run to run."""
    if isinstance(value, list):
        return [_timeless(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _timeless(one)
        for name, one in value.items()
        if not name.endswith(("seconds", "latency_ms", "sha256"))
    }


def _call(tool, flags, workdir, killed_after=None):
    flags = (f"--keras={KERAS}", *flags, f"--workdir={workdir}")
    return Call(f"{tool}.py", flags, killed_after=killed_after)


if __name__ == "__main__":
    absltest.main()
