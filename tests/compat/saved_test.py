"""Loading saved models."""

import json
import pathlib
import zipfile

import tensorflow as tf
from absl.testing import parameterized
from graph_models import OTHER, OTHER_FLAG, make_inputs, make_plain

from kure_tf import compat
from kure_tf.compat import keras


class LoadModelTest(tf.test.TestCase, parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())
        self.path = self.folder / "model.keras"

    def test_a_keras_file_comes_back(self):
        model = make_plain()
        model.save(self.path)

        loaded = compat.load_model(str(self.path))

        x = make_inputs(model)
        self.assertAllEqual(loaded(x), model(x))
        self.assertEqual(compat.saved_keras(self.path), compat.KERAS_NAME)

    def test_an_h5_file_comes_back(self):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        path = self.folder / "model.h5"
        model.save(path)

        x = make_inputs(model)
        self.assertAllEqual(compat.load_model(path)(x), model(x))
        self.assertIsNone(compat.saved_keras(path))

    def test_a_missing_file_is_named(self):
        with self.assertRaisesRegex(FileNotFoundError, "nowhere.keras"):
            compat.load_model(self.folder / "nowhere.keras")

    @parameterized.parameters(0, 10, 200, -10)
    def test_a_truncated_file_is_refused(self, end):
        make_plain().save(self.path)
        self.path.write_bytes(self.path.read_bytes()[:end])

        with self.assertRaisesRegex(ValueError, "model.keras.*truncated"):
            compat.load_model(self.path)

    def test_a_foreign_file_is_refused(self):
        self.path.write_text("not a model")
        with self.assertRaisesRegex(ValueError, "not a saved model"):
            compat.load_model(self.path)
        with zipfile.ZipFile(self.path, "w") as archive:
            archive.writestr("readme.txt", "not a model")
        with self.assertRaisesRegex(ValueError, "not a saved model"):
            compat.load_model(self.path)
        self.assertIsNone(compat.saved_keras(self.path))

    @parameterized.parameters("[]", '{"keras_version"', "[" * 100_000)
    def test_damaged_metadata_is_refused(self, metadata):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        model.save(self.path)
        with zipfile.ZipFile(self.path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        members["metadata.json"] = metadata
        with zipfile.ZipFile(self.path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)

        self.assertIsNone(compat.saved_keras(self.path))
        with self.assertRaisesRegex(ValueError, "model.keras.*metadata is"):
            compat.load_model(self.path)

    def test_a_file_of_the_other_keras_is_refused_with_the_way_out(self):
        make_plain().save(self.path)
        with zipfile.ZipFile(self.path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        metadata = json.loads(members["metadata.json"])
        metadata["keras_version"] = "2.21.0" if compat.IS_KERAS_3 else "3.15.0"
        members["metadata.json"] = json.dumps(metadata)
        with zipfile.ZipFile(self.path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)

        self.assertEqual(compat.saved_keras(self.path), OTHER)
        with self.assertRaisesRegex(
            TypeError, f"saved by {OTHER}.*TF_USE_LEGACY_KERAS={OTHER_FLAG}"
        ):
            compat.load_model(self.path)

    def test_saved_models_need_tf_keras(self):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        folder = self.folder / "saved_model"
        if compat.IS_KERAS_3:
            tf.saved_model.save(model, str(folder))
            with self.assertRaisesRegex(ValueError, "SavedModels.*'.keras'"):
                compat.load_model(folder)
        else:
            model.save(folder)
            x = make_inputs(model)
            self.assertAllEqual(compat.load_model(folder)(x), model(x))

    def test_code_in_a_file_is_not_run(self):
        model = keras.Sequential(
            [keras.Input((4,)), keras.layers.Lambda(lambda x: x * 2)]
        )
        model.save(self.path)

        with self.assertRaisesRegex(ValueError, "model.keras"):
            compat.load_model(self.path)


if __name__ == "__main__":
    tf.test.main()
