"""What is read of Vela's answers; a program in its place gives them."""

import os
import pathlib
import stat
import sys
from unittest import mock

import tensorflow as tf

from kure_tf.export import vela_report

# As Vela 5.2.0 prints it, abridged.
_ANSWER = """
Network summary for file
Accelerator configuration               Ethos_U55_128
CPU operators = 1 (50.0%)
NPU operators = 1 (50.0%)
   NPU: Conv2D = conv2d (outputs [1, 6, 6, 4])
   CPU: Elu = elu (outputs [1, 6, 6, 4])
"""
_SUMMARY = """experiment,inference_time,total_original_weights,\
total_npu_encoded_weights
default,0.00109788,272432,137472
"""


class VelaReportTest(tf.test.TestCase):
    def _with_program(self, body):
        """Returns an environment whose `vela` runs some lines of Python."""
        folder = pathlib.Path(self.get_temp_dir())
        program = folder / "vela"
        program.write_text(f"#!{sys.executable}\n{body}")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return mock.patch.dict(os.environ, {"PATH": str(folder)})

    def test_operators_weights_and_time_are_found(self):
        body = (
            "import pathlib, sys\n"
            "assert pathlib.Path('file.tflite').read_bytes() == b'bytes'\n"
            "assert 'ethos-u55-128' in sys.argv\n"
            f"pathlib.Path('file_summary_x.csv').write_text({_SUMMARY!r})\n"
            f"print({_ANSWER!r})\n"
        )
        with self._with_program(body):
            found = vela_report(b"bytes")

        self.assertEqual(found.npu_operators, 1)
        self.assertEqual(
            found.cpu_operators, ("Elu = elu (outputs [1, 6, 6, 4])",)
        )
        self.assertEqual(found.weight_bytes, 272432)
        self.assertEqual(found.npu_weight_bytes, 137472)
        self.assertAlmostEqual(found.milliseconds, 1.09788)
        self.assertIn("1 operators on the NPU, 1 on the CPU", str(found))

    def test_a_file_that_it_does_not_compile_gives_its_last_lines(self):
        body = "import sys\nprint('Error: no')\nsys.exit(1)\n"
        with self._with_program(body):
            with self.assertRaisesRegex(ValueError, "with 1 and says:\nError"):
                vela_report(b"bytes")

    def test_the_package_to_install_is_named(self):
        with mock.patch.dict(os.environ, {"PATH": ""}):
            with self.assertRaisesRegex(ImportError, "pip install ethos-u-v"):
                vela_report(b"bytes")


if __name__ == "__main__":
    tf.test.main()
