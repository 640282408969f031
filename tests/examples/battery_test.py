"""The example of a battery, without TensorFlow and kure_tf."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from nested_net import images, quantized_net, settings_of

import kure_materialize
from kure_tf.artifact import materialize, pack

pytestmark = pytest.mark.one_keras

_EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "battery.py"
_ALONE = """
import runpy, sys
sys.modules.update(tensorflow=None, keras=None, kure_tf=None)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class BatteryTest(tf.test.TestCase):
    def test_the_width_follows_the_charge_from_the_most_to_the_fewest(self):
        model, _ = quantized_net("per_tensor")
        settings = settings_of("per_tensor", "even", ((8, 8), (4, 8), (2, 8)))
        folder = pathlib.Path(self.get_temp_dir())
        content = pack(model, settings, [images()], file_batch_size=1)
        (folder / "net.kure").write_bytes(content)
        np.savez(folder / "data.npz", images=images(6), labels=np.arange(6) % 3)
        library = pathlib.Path(kure_materialize.__file__).parent

        command = [sys.executable, "-c", _ALONE, _EXAMPLE]
        result = subprocess.run(
            [*command, "net.kure", "data.npz"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(library)},
            capture_output=True,
            text=True,
            check=True,
        )

        lines = result.stdout.splitlines()
        bits = [int(line.split()[2]) for line in lines]
        self.assertEqual(bits, [8, 8, 8, 8, 4, 4, 4, 2, 2, 2])
        self.assertIn(f"{len(materialize(content, 8)):,} bytes", lines[0])
        smallest = len(materialize(content, 2, container=4))
        self.assertIn(f"{smallest:,} bytes", lines[-1])


if __name__ == "__main__":
    tf.test.main()
