"""Models of runs: by name, saved and loaded, with what was noted of them."""

import json
import pathlib
import sys

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from small_run import make_dataset, make_model

from kure_tf import runs
from kure_tf.compat import array_hash

NETS = """
from small_run import make_model

def without_arguments():
    return make_model()

def of_no_model(num_classes, input_shape):
    return None

number = 3
"""


class ModelTest(parameterized.TestCase, tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())

    def test_a_saved_model_comes_back_with_its_weights(self):
        model = make_model()
        path = self.folder / "model.keras"

        runs.save_model(model, path)
        loaded = runs.load_model(str(path), make_dataset())

        self.assertAllEqual(
            np.concatenate([w.ravel() for w in loaded.get_weights()]),
            np.concatenate([w.ravel() for w in model.get_weights()]),
        )
        self.assertEqual([p.name for p in self.folder.iterdir()], [path.name])

    def test_a_function_is_called_with_classes_and_shape(self):
        model = runs.load_model("small_run:make_model", make_dataset())

        self.assertEqual(model.output_shape, (None, 3))
        self.assertEqual(model.input_shape, (None, 4, 4, 1))

    @parameterized.parameters(
        ("os:system", "num_classes and input_shape.*'os:system'"),
        (":x", "package.module:function.*':x'"),
        ("no_such_module:f", "No module named 'no_such_module'"),
        ("nets_for_test:missing", "no attribute 'missing'"),
        ("nets_for_test:number", "not a callable"),
        ("nets_for_test:without_arguments", "unexpected keyword|got an unexp"),
        ("nets_for_test:of_no_model", "Keras model. Received: NoneType"),
        ("resnet9", "small_cnn.*'resnet9'"),
    )
    def test_another_name_is_refused(self, name, message):
        (self.folder / "nets_for_test.py").write_text(NETS)
        sys.path.append(str(self.folder))
        self.addCleanup(sys.path.remove, str(self.folder))
        self.addCleanup(sys.modules.pop, "nets_for_test", None)

        with self.assertRaisesRegex((TypeError, ValueError), message):
            runs.load_model(name, make_dataset())

    def test_an_error_inside_a_function_is_not_hidden(self):
        (self.folder / "broken_for_test.py").write_text(
            "def f(num_classes, input_shape):\n    return {}['missing']\n"
        )
        sys.path.append(str(self.folder))
        self.addCleanup(sys.path.remove, str(self.folder))

        with self.assertRaises(KeyError):
            runs.load_model("broken_for_test:f", make_dataset())

    def test_a_record_is_that_of_the_same_weights_only(self):
        model = make_model()
        record = {"checkpoint_hash": array_hash(model), "chosen_layers": ["b"]}
        (self.folder / "training.json").write_text(json.dumps(record))
        path = self.folder / "model.keras"

        self.assertEqual(runs.training_record(path, model), record)
        model.layers[0].set_weights(
            [2 * w + 1 for w in model.layers[0].get_weights()]
        )
        self.assertIsNone(runs.training_record(path, model))

    @parameterized.parameters('{"run":', "[1]", "\0")
    def test_a_damaged_record_is_named(self, text):
        (self.folder / "training.json").write_text(text)

        with self.assertRaisesRegex(ValueError, "training.json.*damaged"):
            runs.training_record(self.folder / "model.keras", make_model())


if __name__ == "__main__":
    tf.test.main()
