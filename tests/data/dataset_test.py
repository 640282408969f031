import dataclasses
import pathlib

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import data


def _pair(count, classes=3, shape=(4, 4, 1)):
    images = np.random.default_rng(count).random((count, *shape))
    return images.astype(np.float32), np.arange(count) % classes


class FromArraysTest(tf.test.TestCase, parameterized.TestCase):
    def test_float_images_pass_unchanged(self):
        train = _pair(9)

        dataset = data.from_arrays(train, _pair(6))

        self.assertAllClose(dataset.train.arrays()[0], train[0])
        self.assertEqual(dataset.num_classes, 3)
        self.assertEqual(dataset.input_shape, (4, 4, 1))
        self.assertIsNone(dataset.validation)

    def test_calibration_images_come_from_the_training_images(self):
        train = _pair(30)

        dataset = data.from_arrays(train, _pair(6), calibration_count=8)

        drawn = {image.tobytes() for image in dataset.calibration.inputs}
        self.assertLen(drawn, 8)
        self.assertContainsSubset(drawn, {x.tobytes() for x in train[0]})

    def test_splits_are_frozen_values(self):
        dataset = data.from_arrays(_pair(9), _pair(6))

        with self.assertRaises(dataclasses.FrozenInstanceError):
            dataset.name = "other"

    def test_label_outside_the_classes_names_split_and_range(self):
        with self.assertRaisesRegex(ValueError, r"0 \.\. 1.*'test'.*0 \.\. 2"):
            data.from_arrays(_pair(9, classes=2), _pair(6, classes=3))

    def test_negative_label_is_refused(self):
        images, labels = _pair(9)

        with self.assertRaisesRegex(ValueError, "holds labels -1"):
            data.from_arrays((images, labels - 1), _pair(6), num_classes=3)

    def test_splits_of_different_kinds_are_refused(self):
        ids, labels = np.zeros((6, 5), np.int32), np.zeros(6, int)

        with self.assertRaisesRegex(ValueError, "float32', 'int32'"):
            data.from_arrays((ids, labels), (ids.astype(np.float32), labels))

    def test_labels_of_other_positions_are_refused(self):
        x, labels = np.zeros((6, 5)), np.zeros((6, 5), int)

        with self.assertRaisesRegex(ValueError, r"\[5\].*'test'.*\[4\]"):
            data.from_arrays((x, labels), (x, labels[:, 1:]))

    def test_targets_have_no_classes(self):
        x = np.zeros((6, 5))

        dataset = data.from_arrays((x, x), (x, x))

        self.assertIsNone(dataset.num_classes)
        self.assertAllEqual(dataset.test.arrays()[1], x)

    def test_targets_in_one_split_alone_are_refused(self):
        x, labels = np.zeros((6, 5)), np.zeros(6, int)

        with self.assertRaisesRegex(ValueError, "'test' holds targets"):
            data.from_arrays((x, labels), (x, x))

    def test_splits_of_different_shapes_are_refused(self):
        with self.assertRaisesRegex(ValueError, "'test' has inputs of shape"):
            data.from_arrays(_pair(9), _pair(6, shape=(5, 4, 1)))


class GetTest(tf.test.TestCase, parameterized.TestCase):
    def test_bundled_data_set_is_found_by_name(self):
        dataset = data.get("digits", calibration_count=64)

        self.assertEqual(dataset.name, "digits")
        self.assertEqual(dataset.calibration.count, 64)

    def test_unknown_name_names_the_folder_what_is_there_and_digits(self):
        folder = pathlib.Path(self.get_temp_dir())
        (folder / "my_set" / "1.0.0").mkdir(parents=True)

        with self.assertRaisesRegex(
            FileNotFoundError, "no_such_set.*my_set.*--data_dir.*'digits'"
        ):
            data.get("no_such_set", data_dir=folder)

    def test_missing_folder_is_named(self):
        with self.assertRaisesRegex(FileNotFoundError, "no such folder"):
            data.get("mnist", data_dir="/no/such/folder")

    def test_name_must_be_text(self):
        with self.assertRaisesRegex(TypeError, "as text"):
            data.get(3)


if __name__ == "__main__":
    tf.test.main()
