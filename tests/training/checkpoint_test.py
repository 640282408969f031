import pathlib

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf.training.checkpoint import Checkpoint

IDENTITY = {"recipe": {"epochs": 3, "seed": 0}, "layers": [{"units": 4}]}


def _checkpoint():
    arrays = {
        "model": [np.arange(6.0, dtype=np.float32).reshape(2, 3)],
        "optimizer": [np.int64(2**40), np.zeros((0,), np.float32)],
        "best": [],
    }
    progress = {"history": [{"loss": 0.1}], "best_epoch": None}
    return Checkpoint(IDENTITY, progress, arrays)


class CheckpointTest(tf.test.TestCase, parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.get_temp_dir()) / self.id() / "c.npz"

    def test_what_is_saved_is_loaded(self):
        saved = _checkpoint()
        saved.save(self.path)

        loaded = Checkpoint.load(self.path)

        self.assertEqual(loaded.identity, saved.identity)
        self.assertEqual(loaded.progress, saved.progress)
        for name, group in saved.arrays.items():
            self.assertLen(loaded.arrays[name], len(group))
            for array, expected in zip(loaded.arrays[name], group, strict=True):
                self.assertAllEqual(array, expected)
                self.assertEqual(array.dtype, expected.dtype)

    def test_missing_file_is_named(self):
        with self.assertRaisesRegex(FileNotFoundError, "c.npz"):
            Checkpoint.load(self.path)

    @parameterized.parameters(0, 1, 100, 0.5, 0.99)
    def test_truncated_file_is_refused(self, length):
        _checkpoint().save(self.path)
        whole = self.path.read_bytes()
        length = (
            int(length * len(whole)) if isinstance(length, float) else length
        )
        self.path.write_bytes(whole[:length])

        with self.assertRaisesRegex(ValueError, "truncated or foreign"):
            Checkpoint.load(self.path)

    def test_damaged_file_is_refused(self):
        _checkpoint().save(self.path)
        content = bytearray(self.path.read_bytes())
        start = content.index(np.arange(6.0, dtype=np.float32).tobytes())
        content[start + 4] ^= 255
        self.path.write_bytes(content)

        with self.assertRaisesRegex(ValueError, "truncated or foreign"):
            Checkpoint.load(self.path)

    def test_foreign_archive_is_refused(self):
        self.path.parent.mkdir(parents=True)
        np.savez(self.path, weights=np.zeros(3))

        with self.assertRaisesRegex(ValueError, "truncated or foreign"):
            Checkpoint.load(self.path)

    def test_pickled_objects_are_not_loaded(self):
        self.path.parent.mkdir(parents=True)
        np.savez(self.path, header=np.array([{"format": 1}], dtype=object))

        with self.assertRaisesRegex(ValueError, "allow_pickle=False"):
            Checkpoint.load(self.path)

    def test_same_identity_passes(self):
        _checkpoint().check_identity(IDENTITY, self.path)

    def test_other_identity_names_both_recipes_and_the_difference(self):
        other = {**IDENTITY, "recipe": {"epochs": 5, "seed": 0}}

        with self.assertRaisesRegex(
            ValueError,
            "workdir of another run.*'epochs': 3.*'epochs': 5.*"
            "recipe.epochs is 3 there and 5 here. Give another workdir",
        ):
            _checkpoint().check_identity(other, self.path)

    def test_other_model_is_told_by_its_layer(self):
        other = {**IDENTITY, "layers": [{"units": 8}]}

        with self.assertRaisesRegex(
            ValueError, r"layers\[0\].units is 4 there and 8 here"
        ):
            _checkpoint().check_identity(other, self.path)


if __name__ == "__main__":
    tf.test.main()
