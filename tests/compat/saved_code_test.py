"""Python code in saved models is found, and not run."""

import pathlib
import shutil
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import compat
from kure_tf.compat import IS_KERAS_3, keras
from kure_tf.compat.saved_code import code_in

FILES = ("model.keras", "model.h5", "disguised.keras", "folder")


def _model(function):
    layers = keras.layers
    inside = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Lambda(function, output_shape=(4,), name="mine"),
        ],
        name="inside",
    )
    return keras.Sequential([keras.Input((4,)), inside, layers.Dense(2)])


def _leaving(trace):
    """Returns a lambda that writes a file and needs nothing to do it."""
    return eval(f"lambda x: (open({str(trace)!r}, 'w').close(), x)[1]")


class SavedCodeTest(tf.test.TestCase, parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = pathlib.Path(temporary.name)
        cls.trace = cls.folder / "ran"
        model = _model(_leaving(cls.trace))
        model.save(cls.folder / "model.keras")
        model.save(cls.folder / "model.h5")
        shutil.copy(cls.folder / "model.h5", cls.folder / "disguised.keras")
        if not IS_KERAS_3:
            model.save(cls.folder / "folder", save_format="tf")

    def setUp(self):
        super().setUp()
        self.trace.unlink(missing_ok=True)

    def _path(self, name):
        if not (self.folder / name).exists():
            self.skipTest("Keras 3 writes no SavedModel of Keras.")
        return self.folder / name

    @parameterized.parameters(*FILES)
    def test_it_is_refused_with_the_way_out_and_not_run(self, name):
        with self.assertRaisesRegex(
            ValueError, f"{name}.*safe_mode=False.*--allow_code"
        ):
            compat.load_model(self._path(name))
        self.assertFalse(self.trace.exists())

    @parameterized.parameters("model.keras", "model.h5", "folder")
    def test_whoever_trusts_it_has_it_run(self, name):
        model = compat.load_model(self._path(name), safe_mode=False)
        model(np.zeros((1, 4), np.float32))
        self.assertTrue(self.trace.exists())

    @parameterized.parameters("model.h5", "folder")
    def test_the_layers_are_named(self, name):
        self.assertIn("mine", code_in(self._path(name)))

    def test_functions_told_by_name_are_no_code(self):
        model = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(2, activation="relu")]
        )
        model.save(self.folder / "named.h5")
        self.assertEqual(code_in(self.folder / "named.h5"), [])


if __name__ == "__main__":
    tf.test.main()
