import errno
import hashlib
import json
import pathlib
from unittest import mock

import numpy as np
import tensorflow as tf

from kure_tf.compat import keras
from kure_tf.export import VerificationError, export_tflite


def _brightest_channel(order=(0, 1, 2)):
    """Returns a classifier known in closed form: the brightest channel wins."""
    model = keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            keras.layers.Conv2D(3, 1, use_bias=False),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, use_bias=False),
        ],
        name="brightest",
    )
    identity = np.eye(3, dtype=np.float32)
    model.set_weights([identity.reshape(1, 1, 3, 3), identity[list(order)]])
    return model


def _data(count=60):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, count)
    images = rng.uniform(0.0, 0.5, (count, 4, 4, 3)).astype(np.float32)
    images[np.arange(count), ..., labels] += 0.5
    return images, labels


class ExportTFLiteTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())
        self.path = self.folder / "model.tflite"

    def _export(self, **options):
        images, labels = _data()
        arguments = {
            "model": _brightest_channel(),
            "path": self.path,
            "calibration": images,
            "split": [(images, labels)],
            "progress": False,
            **options,
        }
        return export_tflite(**arguments)

    def _files(self):
        return sorted(path.name for path in self.folder.iterdir())

    def test_a_verified_file_is_written_with_its_record(self):
        found = self._export()

        self.assertEqual(self._files(), ["model.json", "model.tflite"])
        content = self.path.read_bytes()
        record = json.loads((self.folder / "model.json").read_text())
        self.assertEqual(
            record["file"]["sha256"], hashlib.sha256(content).hexdigest()
        )
        self.assertEqual(record["file"]["step_size_source"], "converter")
        self.assertEqual(
            record["verification"]["step_size_source"], "converter"
        )
        self.assertEqual(record["verification"]["agreement"], found.agreement)
        # The closed form classifies every image, and so must the file.
        self.assertEqual(found.keras_accuracy, 1.0)
        self.assertEqual(found.tflite_accuracy, 1.0)

    def test_the_written_file_runs(self):
        from ai_edge_litert.interpreter import Interpreter

        self._export(mode="float", calibration=None, path=str(self.path))

        images, labels = _data(5)
        run = Interpreter(str(self.path)).get_signature_runner()
        answers = [
            run(image=image[np.newaxis])["output"].argmax() for image in images
        ]
        self.assertAllEqual(answers, labels)

    def test_a_failed_verification_leaves_no_file(self):
        images, labels = _data()

        with self.assertRaisesRegex(
            VerificationError, "Nothing was written to .*model.tflite"
        ) as caught:
            self._export(split=_Nudged(images, labels))

        self.assertEqual(self._files(), [])
        self.assertEqual(caught.exception.verification.images, 60)

    def test_a_failed_verification_leaves_an_older_export_alone(self):
        images, labels = _data()
        self._export()
        before = [path.read_bytes() for path in self.folder.iterdir()]

        with self.assertRaisesRegex(
            VerificationError,
            "'.*model.tflite' is still the file of an earlier",
        ):
            self._export(split=_Nudged(images, labels))

        after = [path.read_bytes() for path in self.folder.iterdir()]
        self.assertEqual(after, before)

    def test_a_failed_conversion_leaves_no_file(self):
        with self.assertRaisesRegex(
            ValueError, "calibration examples. Received none"
        ):
            self._export(calibration=[])

        self.assertEqual(self._files(), [])

    def test_a_full_disk_leaves_no_half_file(self):
        full = OSError(errno.ENOSPC, "No space left on device")

        with (
            mock.patch("os.fsync", side_effect=full),
            self.assertRaisesRegex(OSError, "No space left"),
        ):
            self._export()

        self.assertEqual(self._files(), [])

    def test_paths_that_cannot_be_written_are_refused_before_the_work(self):
        with self.assertRaisesRegex(ValueError, "'.tflite'.*model.json"):
            self._export(path=self.folder / "model.json", model=None)
        self.path.mkdir()
        with self.assertRaisesRegex(ValueError, "is a folder"):
            self._export(model=None)


class _Nudged:
    """Images whose brightest channel differs by less than the file can tell.

    The file's input has 256 codes; between them the Keras model still sees
    which channel is the brightest, and the file sees a tie.
    """

    name = "test"

    def __init__(self, images, labels):
        self.count = len(images)
        self._images = np.full_like(images, 0.5)
        self._images[np.arange(self.count), ..., labels] += 1e-5
        self._labels = labels

    def batches(self, size):
        both = (self._images, self._labels)
        return tf.data.Dataset.from_tensor_slices(both).batch(size)


if __name__ == "__main__":
    tf.test.main()
