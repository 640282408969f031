"""Steps that tools do, with tools of a few lines in their place."""

import json
import os
import pathlib
import signal
import tempfile
import threading
import time

from absl.testing import absltest

from kure_tf.paper.steps import ToolStep, ending_with_this_process

# Notes each call; fails or waits as long as a file beside it says so.
TOOL = """
import os, pathlib, sys, time
here = pathlib.Path(__file__).parent
with open(here / "calls", "a") as calls:
    print(*sys.argv[1:], file=calls)
print("printed")
(here / "started.new").write_text(str(os.getpid()))
os.rename(here / "started.new", here / "started")
while (here / "wait").exists():
    time.sleep(0.02)
time.sleep(0.2)  # Times are noted in tenths of a second.
sys.exit(3 if (here / "fail").exists() else 0)
"""


class ToolStepTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.tools = self.root / "tools"
        self.tools.mkdir()
        (self.tools / "train.py").write_text(TOOL)
        (self.root / "a.cfg").write_text("# A comment.\n--flagfile=b.cfg\n")
        (self.root / "b.cfg").write_text("--epochs=2\n")

    def _step(self, *flags):
        return ToolStep(
            "m",
            self.root / "m",
            root=self.root,
            tool="train",
            flagfiles=("a.cfg",),
            flags=flags,
        )

    def _calls(self):
        path = self.tools / "calls"
        return path.read_text().splitlines() if path.is_file() else []

    def _noted(self):
        return json.loads((self.root / "m" / "reproduce.json").read_text())

    def test_a_step_is_run_once_with_its_flags(self):
        for _ in range(2):
            self._step("--seed=1").run()

        folder = self.root / "m"
        expected = f"--flagfile=a.cfg --seed=1 --workdir={folder}"
        self.assertEqual(self._calls(), [expected])
        self.assertEqual((folder / "log.txt").read_text(), "printed\n")
        record = self._step("--seed=1").record()
        self.assertEqual(record["flagfiles"], ["a.cfg"])
        self.assertGreater(record["seconds"], 0)

    def test_other_flags_are_another_step(self):
        self._step("--seed=1").run()
        self._step("--seed=2").run()

        self.assertLen(self._calls(), 2)
        self.assertNotEqual(self._step("--seed=1"), self._step("--seed=2"))
        self.assertEqual(self._step("--seed=1"), self._step("--seed=1"))

    def test_comments_of_a_flagfile_may_change_but_not_its_flags(self):
        self._step().run()
        (self.root / "b.cfg").write_text("# Two epochs.\n--epochs=2\n")
        self._step().run()
        self.assertLen(self._calls(), 1)

        (self.root / "b.cfg").write_text("--epochs=3\n")
        self._step().run()
        self.assertLen(self._calls(), 2)

    def test_a_step_that_fails_says_so_and_is_run_again(self):
        (self.tools / "fail").touch()
        with self.assertRaisesRegex(ValueError, r"'m' failed \(exit code 3\)"):
            self._step().run()
        self.assertFalse(self._noted()["finished"])
        before = self._noted()["seconds"]
        (self.tools / "fail").unlink()

        self._step().run()

        self.assertTrue(self._noted()["finished"])
        self.assertGreaterEqual(self._noted()["seconds"], before)

    def test_ended_from_outside_it_ends_the_tool_and_notes_the_time(self):
        (self.tools / "wait").touch()
        started = self.tools / "started"

        def end_once_started():
            while not started.exists():
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGTERM)

        ender = threading.Thread(target=end_once_started)
        with self.assertRaises(SystemExit) as ended, ending_with_this_process():
            ender.start()
            self._step().run()
        ender.join()

        self.assertEqual(ended.exception.code, 128 + signal.SIGTERM)
        self.assertFalse(self._noted()["finished"])
        with self.assertRaises(ProcessLookupError):
            os.kill(int(started.read_text()), 0)


if __name__ == "__main__":
    absltest.main()
