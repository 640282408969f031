import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from litert_files import at_point

from kure_tf import models
from kure_tf.export import to_integer_graph, write

pytestmark = pytest.mark.one_keras

_EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "run_litert.py"
# A process in which nothing but the interpreter and NumPy can be imported.
_ALONE = """
import runpy, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "keras", "tf_keras", "kure_tf"):
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Refuse())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class RunLiteRTTest(parameterized.TestCase, tf.test.TestCase):
    @parameterized.named_parameters(("int8", False), ("float", True))
    def test_the_example_names_the_classes_of_the_model(self, float_ports):
        rng = np.random.default_rng(0)
        images = rng.normal(size=(12, 8, 8, 1)).astype(np.float32)
        model = at_point(models.small_cnn(num_classes=3), images, "8/8")
        folder = pathlib.Path(self.get_temp_dir())
        graph = to_integer_graph(model, [images])
        content = write(graph, float_ports=float_ports)
        (folder / "model.tflite").write_bytes(content)
        expected = np.asarray(model(images, training=False)).argmax(-1)
        np.save(folder / "images.npy", images)
        np.save(folder / "labels.npy", expected)

        names = ("model.tflite", "images.npy", "labels.npy")
        result = subprocess.run(
            [sys.executable, "-c", _ALONE, _EXAMPLE]
            + [folder / name for name in names],
            capture_output=True,
            text=True,
            check=True,
        )

        classes, top_1 = result.stdout.splitlines()[-2:]
        agreed = np.mean(np.array(classes.split(), int) == expected)
        self.assertGreater(agreed, 0.9)
        self.assertEqual(top_1, f"top-1: {agreed:.2%}")


if __name__ == "__main__":
    tf.test.main()
