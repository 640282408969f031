"""Ctrl-C while a tool still loads TensorFlow."""

import os
import pathlib
import subprocess
import sys
import tempfile

from absl.testing import absltest
from module_imports import ROOT


class InterruptedTest(absltest.TestCase):
    def test_ctrl_c_during_import_is_one_sentence(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "tensorflow", "__init__.py")
            path.parent.mkdir()
            path.write_text("raise KeyboardInterrupt")  # As the signal does.
            result = subprocess.run(
                [sys.executable, "tools/train.py", f"--workdir={folder}/a"],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
                capture_output=True,
                text=True,
                check=False,
            )

        self.assertEqual(result.returncode, 1)
        self.assertIn("Interrupted. The same command", result.stderr)
        self.assertNotIn("Traceback", result.stderr)


if __name__ == "__main__":
    absltest.main()
