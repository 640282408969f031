import pathlib
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from tfds_files import write_tfds

from kure_tf import data
from kure_tf.data.streamed_split import resize_and_cut_centre


def _images(count, seed, shape=(8, 8, 3)):
    images = np.random.default_rng(seed).integers(0, 256, (count, *shape))
    return images.astype(np.uint8), np.arange(count) % 3


class TfdsDatasetTest(tf.test.TestCase, parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = tempfile.mkdtemp()
        cls.train, cls.test = _images(50, 0), _images(20, 1)
        splits = {"train": cls.train, "test": cls.test}
        write_tfds(cls.folder, "tiny", splits)
        withheld = (cls.test[0], np.full(20, -1))
        splits = {"train": cls.train, "validation": cls.test, "test": withheld}
        write_tfds(cls.folder, "withheld", splits)
        write_tfds(
            cls.folder,
            "varying",
            {**splits, "test": cls.test},
            shape=[None, None, 3],
        )
        write_tfds(
            cls.folder,
            "wrong",
            {"train": cls.train, "test": cls.test},
            classes=2,
        )
        write_tfds(
            cls.folder, "empty", {"train": _images(0, 0), "test": cls.test}
        )

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        tf.io.gfile.rmtree(cls.folder)

    def _get(self, name, **options):
        return data.get(name, data_dir=self.folder, **options)

    def test_images_and_labels_are_those_on_disk_in_order(self):
        dataset = self._get("tiny", calibration_count=10)

        self.assertAllEqual(dataset.train.inputs, self.train[0])
        self.assertAllEqual(dataset.train.labels, self.train[1])
        self.assertAllEqual(dataset.test.inputs, self.test[0])
        self.assertEqual(dataset.num_classes, 3)
        self.assertEqual(dataset.calibration.count, 10)
        self.assertIsNone(dataset.validation)

    def test_streamed_test_split_equals_the_one_in_memory(self):
        options = {"mean": (0.1, 0.2, 0.3), "std": (1.0, 2.0, 3.0)}
        in_memory = self._get("tiny", **options).test.arrays()

        streamed = self._get("tiny", memory_limit=0, **options).test

        self.assertEqual(streamed.count, 20)
        self.assertAllClose(streamed.arrays()[0], in_memory[0])
        self.assertAllEqual(streamed.arrays()[1], in_memory[1])
        self.assertEqual(streamed.batches(8).cardinality(), 3)

    @parameterized.named_parameters(("in_memory", 10**9), ("streamed", 0))
    def test_validation_images_leave_the_training_images(self, memory_limit):
        dataset = self._get(
            "tiny", validation_count=15, memory_limit=memory_limit
        )

        self.assertEqual(dataset.train.count, 35)
        both = [
            {image.tobytes() for image in split.arrays()[0]}
            for split in (dataset.train, dataset.validation)
        ]
        self.assertEqual([len(part) for part in both], [35, 15])
        self.assertEmpty(both[0] & both[1])
        calibration = dataset.calibration.arrays()[0]
        self.assertContainsSubset({x.tobytes() for x in calibration}, both[0])

    def test_calibration_seed_does_not_move_the_validation_images(self):
        first = self._get("tiny", validation_count=15, calibration_seed=0)
        second = self._get("tiny", validation_count=15, calibration_seed=1)

        self.assertAllEqual(first.validation.inputs, second.validation.inputs)

    def test_streamed_epoch_is_a_function_of_seed_and_epoch(self):
        train = self._get("tiny", memory_limit=0).train

        def epoch(number, global_seed):
            tf.random.set_seed(global_seed)
            batches = train.training_batches(
                16, seed=4, epoch=number, augment=("flip", "crop")
            )
            return [
                np.concatenate(x)
                for x in zip(*batches.as_numpy_iterator(), strict=True)
            ]

        images, labels = epoch(0, 1)
        again, _ = epoch(0, 2)
        other, _ = epoch(1, 1)

        self.assertAllEqual(images, again)
        self.assertNotAllEqual(images, other)
        self.assertAllEqual(np.bincount(labels), np.bincount(self.train[1]))

    def test_streamed_order_is_a_permutation_of_whole_images(self):
        train = self._get("tiny", memory_limit=0).train

        batches = train.training_batches(16, seed=0, epoch=0)
        images = np.concatenate([x for x, _ in batches.as_numpy_iterator()])

        self.assertNotAllEqual(images, self.train[0] / 255)
        self.assertLen({image.tobytes() for image in images}, 50)

    def test_streamed_draw_repeats_nothing_and_depends_on_the_seed(self):
        train = self._get("tiny", memory_limit=0).train

        drawn = [train.take(12, seed).arrays()[0] for seed in (1, 1, 2)]

        self.assertLen({image.tobytes() for image in drawn[0]}, 12)
        self.assertAllEqual(drawn[0], drawn[1])
        self.assertNotAllEqual(drawn[0], drawn[2])

    def test_validation_is_the_test_split_where_labels_are_withheld(self):
        dataset = self._get("withheld")

        self.assertAllEqual(dataset.test.inputs, self.test[0])
        self.assertIsNone(dataset.validation)
        self.assertIn("'validation'", " ".join(dataset.notes))

    def test_images_of_many_sizes_need_an_image_size(self):
        with self.assertRaisesRegex(ValueError, "--image_size"):
            self._get("varying")

        dataset = self._get("varying", image_size=6)

        self.assertEqual(dataset.input_shape, (6, 6, 3))
        self.assertEqual(dataset.validation.count, 20)
        self.assertEqual(dataset.test.arrays()[0].shape, (20, 6, 6, 3))

    @parameterized.parameters(
        (0, ValueError, "image_size to be 1 or more.*0"),
        (224.0, TypeError, "image_size to be an integer.*224.0"),
        (True, TypeError, "image_size to be an integer.*True"),
    )
    def test_bad_image_sizes_are_refused(self, size, error, message):
        with self.assertRaisesRegex(error, message):
            self._get("varying", image_size=size)

    def test_images_of_one_size_are_resized_in_memory(self):
        dataset = self._get("tiny", image_size=4)

        expected = tf.image.resize(self.test[0], (4, 4), antialias=True)
        self.assertEqual(dataset.test.inputs.dtype, np.uint8)
        self.assertAllClose(dataset.test.inputs, expected, atol=0.51)

    def test_label_outside_the_classes_is_refused(self):
        with self.assertRaisesRegex(ValueError, r"0 \.\. 1.*'train'"):
            self._get("wrong")

    def test_streamed_label_outside_the_classes_is_refused(self):
        with self.assertRaisesRegex(
            tf.errors.InvalidArgumentError, r"Expected labels 0 \.\. 1"
        ):
            self._get("wrong", memory_limit=0).test.arrays()

    def test_empty_split_is_refused(self):
        with self.assertRaisesRegex(ValueError, "'train'.*empty"):
            self._get("empty")

    def test_a_set_that_tfds_knows_differently_is_read_as_it_is(self):
        splits = {"train": self.train, "test": self.test}
        write_tfds(self.folder, "mnist", splits, version="9.0.0")
        self.assertAllEqual(self._get("mnist").test.inputs, self.test[0])

    @parameterized.named_parameters(
        ("record", "damaged-train.tfrecord-00000-of-00002"),
        ("info", "dataset_info.json"),
        ("features", "features.json"),
    )
    def test_a_damaged_file_is_told(self, name):
        with tempfile.TemporaryDirectory() as folder:
            splits = {"train": self.train, "test": self.test}
            write_tfds(folder, "damaged", splits)
            path = pathlib.Path(folder, "damaged", "1.0.0", name)
            path.write_bytes(path.read_bytes()[:-40])
            with self.assertRaisesRegex(ValueError, "whole files.*'damaged'"):
                data.get("damaged", data_dir=folder)

    @parameterized.parameters("", ":x", "x:", "../digits")
    def test_what_is_no_name_is_told(self, name):
        with self.assertRaisesRegex(FileNotFoundError, "No data set.*--data"):
            data.tfds_dataset(name, data_dir=self.folder)

    def test_too_many_validation_images_are_refused(self):
        with self.assertRaisesRegex(
            ValueError, r"validation_count of 0 \.\. 49"
        ):
            self._get("tiny", validation_count=50)

    def test_shift_is_refused_where_images_are_streamed(self):
        train = self._get("tiny", memory_limit=0).train

        with self.assertRaisesRegex(ValueError, "'flip' and 'crop'"):
            train.training_batches(8, seed=0, epoch=0, augment=("shift",))


class ResizeAndCutCentreTest(tf.test.TestCase, parameterized.TestCase):
    def test_keeps_the_middle_of_the_longer_side(self):
        image = np.zeros((4, 12, 1), np.float32)
        image[:, 4:8] = 1.0

        self.assertAllEqual(resize_and_cut_centre(image, 4), np.ones((4, 4, 1)))

    def test_keeps_the_given_part_of_the_shorter_side(self):
        image = np.zeros((8, 8, 1), np.float32)
        image[2:6, 2:6] = 1.0

        cut = resize_and_cut_centre(image, 4, kept=0.5)

        self.assertAllEqual(cut, np.ones((4, 4, 1)))


if __name__ == "__main__":
    tf.test.main()
