import json
import pathlib
import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import data
from kure_tf.data.streamed_split import resize_and_cut_centre


def _write(folder, name, splits, *, shape=(8, 8, 3), classes=3, shards=2):
    """Writes a data set as TFDS does: `{split: (images, labels)}`."""
    target = pathlib.Path(folder) / name / "1.0.0"
    target.mkdir(parents=True)
    infos = []
    for split, (images, labels) in splits.items():
        parts = np.array_split(np.arange(len(labels)), shards)
        for i, part in enumerate(parts):
            path = f"{name}-{split}.tfrecord-{i:05d}-of-{shards:05d}"
            with tf.io.TFRecordWriter(str(target / path)) as writer:
                for j in part:
                    writer.write(_example(images[j], labels[j]))
        infos.append(
            {
                "filepathTemplate": (
                    "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
                ),
                "name": split,
                "numBytes": str(len(labels) * 300),
                "shardLengths": [str(len(part)) for part in parts],
            }
        )
    info = {
        "disableShuffling": True,
        "fileFormat": "tfrecord",
        "moduleName": "__main__",
        "name": name,
        "splits": infos,
        "supervisedKeys": {
            "tuple": {
                "items": [{"featureKey": "image"}, {"featureKey": "label"}]
            }
        },
        "version": "1.0.0",
    }
    (target / "dataset_info.json").write_text(json.dumps(info))
    features = "tensorflow_datasets.core.features"
    image_class = f"{features}.image_feature.Image"
    sides = [str(-1 if side is None else side) for side in shape]
    (target / "features.json").write_text(
        json.dumps(
            {
                "pythonClassName": f"{features}.features_dict.FeaturesDict",
                "featuresDict": {
                    "features": {
                        "image": {
                            "pythonClassName": image_class,
                            "image": {
                                "dtype": "uint8",
                                "encodingFormat": "png",
                                "shape": {"dimensions": sides},
                            },
                        },
                        "label": {
                            "pythonClassName": (
                                f"{features}.class_label_feature.ClassLabel"
                            ),
                            "classLabel": {"numClasses": str(classes)},
                        },
                    }
                },
            }
        )
    )


def _example(image, label):
    png = tf.io.encode_png(image).numpy()
    feature = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[png])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString()


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
        _write(cls.folder, "tiny", splits)
        withheld = (cls.test[0], np.full(20, -1))
        splits = {"train": cls.train, "validation": cls.test, "test": withheld}
        _write(cls.folder, "withheld", splits)
        _write(
            cls.folder,
            "varying",
            {**splits, "test": cls.test},
            shape=[None, None, 3],
        )
        _write(
            cls.folder,
            "wrong",
            {"train": cls.train, "test": cls.test},
            classes=2,
        )
        _write(cls.folder, "empty", {"train": _images(0, 0), "test": cls.test})

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        tf.io.gfile.rmtree(cls.folder)

    def _get(self, name, **options):
        return data.get(name, data_dir=self.folder, **options)

    def test_images_and_labels_are_those_on_disk_in_order(self):
        dataset = self._get("tiny", calibration_count=10)

        self.assertAllEqual(dataset.train.images, self.train[0])
        self.assertAllEqual(dataset.train.labels, self.train[1])
        self.assertAllEqual(dataset.test.images, self.test[0])
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

        self.assertAllEqual(first.validation.images, second.validation.images)

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

        self.assertAllEqual(dataset.test.images, self.test[0])
        self.assertIsNone(dataset.validation)
        self.assertIn("'validation'", " ".join(dataset.notes))

    def test_images_of_many_sizes_need_an_image_size(self):
        with self.assertRaisesRegex(ValueError, "--image_size"):
            self._get("varying")

        dataset = self._get("varying", image_size=6)

        self.assertEqual(dataset.input_shape, (6, 6, 3))
        self.assertEqual(dataset.validation.count, 20)
        self.assertEqual(dataset.test.arrays()[0].shape, (20, 6, 6, 3))

    def test_images_of_one_size_are_resized_in_memory(self):
        dataset = self._get("tiny", image_size=4)

        expected = tf.image.resize(self.test[0], (4, 4), antialias=True)
        self.assertEqual(dataset.test.images.dtype, np.uint8)
        self.assertAllClose(dataset.test.images, expected, atol=0.51)

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
