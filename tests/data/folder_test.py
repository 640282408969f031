"""Folders of images as data sets."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import data

pytestmark = pytest.mark.one_keras


def write(folder, name, image):
    """Writes `image`, uint8 `[height, width, channels]`, as a PNG."""
    path = pathlib.Path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tf.io.encode_png(image).numpy())


def grey(value, side=4):
    return np.full((side, side, 1), value, np.uint8)


def write_classes(folder, counts, first=0):
    """Writes single-valued images: 0, 1, ... in class "a", 100, ... in "b"."""
    for label, (name, count) in enumerate(sorted(counts.items())):
        for i in range(count):
            value = 100 * label + first + i
            write(folder, f"{name}/{i:03d}.png", grey(value))


def values(split):
    return sorted(int(image[0, 0, 0]) for image in split.inputs)


class FolderDatasetTest(tf.test.TestCase, parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())

    def test_the_folders_of_splits_are_the_splits(self):
        for start, name in enumerate(("train", "val", "test")):
            write_classes(
                self.folder / name, {"a": 2, "b": 2}, first=10 * start
            )

        dataset = data.get(f"folder:{self.folder}")

        self.assertEqual(values(dataset.train), [0, 1, 100, 101])
        self.assertEqual(values(dataset.validation), [10, 11, 110, 111])
        self.assertEqual(values(dataset.test), [20, 21, 120, 121])
        self.assertAllEqual(dataset.train.labels, [0, 0, 1, 1])
        self.assertLen(dataset.notes, 1)

    def test_without_splits_they_are_drawn_class_by_class(self):
        write_classes(self.folder, {"a": 40, "b": 20})

        dataset = data.folder_dataset(self.folder)

        parts = (dataset.train, dataset.validation, dataset.test)
        counts = [np.bincount(part.labels).tolist() for part in parts]
        self.assertEqual(counts, [[28, 14], [4, 2], [8, 4]])
        together = [value for part in parts for value in values(part)]
        self.assertEqual(sorted(together), [*range(40), *range(100, 120)])
        said = " ".join(dataset.notes)
        self.assertIn("test: 12 images held out of the 60", said)
        self.assertIn("validation: 6 images", said)

    def test_the_draw_is_the_same_again(self):
        write_classes(self.folder, {"a": 10, "b": 10})

        first, again = (data.folder_dataset(self.folder) for _ in range(2))

        self.assertEqual(values(first.test), values(again.test))
        self.assertEqual(first.name, again.name)

    def test_the_name_covers_what_files_there_are(self):
        write_classes(self.folder, {"a": 3, "b": 3})
        before = data.folder_dataset(self.folder).name

        write(self.folder, "a/new.png", grey(9))

        self.assertStartsWith(before, f"folder:{self.folder.name} ")
        self.assertNotEqual(data.folder_dataset(self.folder).name, before)

    def test_grey_beside_colour_becomes_colour(self):
        write_classes(self.folder, {"a": 3, "b": 3})
        write(self.folder, "a/red.png", np.full((4, 4, 3), [200, 1, 2], "u1"))

        dataset = data.folder_dataset(self.folder)

        self.assertEqual(dataset.input_shape, (4, 4, 3))
        colours = {
            tuple(int(value) for value in image[0, 0])
            for split in dataset.splits()
            for image in split.inputs
        }
        greys = {(value,) * 3 for value in (0, 1, 2, 100, 101, 102)}
        self.assertEqual(colours, {(200, 1, 2), *greys})

    def test_images_of_many_sizes_are_resized(self):
        write_classes(self.folder, {"a": 3, "b": 3})
        write(self.folder, "b/large.png", grey(77, side=9))

        with self.assertRaisesRegex(ValueError, r"one size.*\[9, 9\].*--image"):
            data.folder_dataset(self.folder)
        dataset = data.folder_dataset(self.folder, image_size=6)

        self.assertEqual(dataset.input_shape, (6, 6, 1))

    @parameterized.named_parameters(
        ("no_folder", {}, "gone", FileNotFoundError, "no folder '.*gone'"),
        ("empty", {}, "", ValueError, "sub-folder for each.*Received: none"),
        ("one_class", {"a": 2}, "", ValueError, "two or more.*Received: a"),
        ("empty_class", {"a": 2, "b": 0}, "", ValueError, "'.*b' has none"),
    )
    def test_what_is_no_set_is_refused(self, counts, name, error, message):
        for one in counts:
            (self.folder / one).mkdir()
        write_classes(self.folder, counts)

        with self.assertRaisesRegex(error, message):
            data.folder_dataset(self.folder / name)

    def test_a_file_that_cannot_be_read_is_named(self):
        write_classes(self.folder, {"a": 2, "b": 2})
        (self.folder / "b" / "torn.jpg").write_bytes(
            b"\xff\xd8\xff and no more"
        )

        with self.assertRaisesRegex(ValueError, "torn.jpg.*cannot be read"):
            data.folder_dataset(self.folder)

    def test_a_class_of_the_test_images_alone_is_refused(self):
        write_classes(self.folder / "train", {"a": 2, "b": 2})
        write_classes(self.folder / "test", {"a": 2, "c": 2})

        with self.assertRaisesRegex(ValueError, r"\['a', 'b'\].*another: 'c'"):
            data.folder_dataset(self.folder)

    def test_more_than_fits_in_memory_is_refused(self):
        write_classes(self.folder, {"a": 2, "b": 2})

        with self.assertRaisesRegex(ValueError, "191 bytes.* 4 take 192"):
            data.folder_dataset(self.folder, memory_limit=191)


if __name__ == "__main__":
    tf.test.main()
