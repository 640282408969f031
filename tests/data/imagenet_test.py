import tempfile

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from tfds_files import write_tfds

from kure_tf import data

_MEAN = np.array((0.485, 0.456, 0.406))
_STD = np.array((0.229, 0.224, 0.225))
_SHAPES = ((300, 400, 3), (256, 256, 3), (600, 270, 3), (90, 130, 3))


def _ramps(count):
    """Images of many sizes: red is the column, green the row, blue the index.

    Every pixel of a batch then tells where in which image it comes from.
    """
    images = []
    for index in range(count):
        height, width, _ = _SHAPES[index % len(_SHAPES)]
        rows, columns = np.mgrid[:height, :width]
        images.append(
            np.stack(
                [
                    np.round(255 * columns / (width - 1)),
                    np.round(255 * rows / (height - 1)),
                    np.full((height, width), index),
                ],
                axis=-1,
            ).astype(np.uint8)
        )
    return images, np.arange(count) % 3


def _raw(batch):
    """Returns the pixels, 0 .. 255, of normalized ones."""
    return (batch * _STD + _MEAN) * 255


class ImageNetTest(tf.test.TestCase, parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = tempfile.mkdtemp()
        cls.train, cls.test = _ramps(24), _ramps(8)
        write_tfds(
            cls.folder,
            "imagenet2012",
            {
                "train": cls.train,
                "validation": cls.test,
                "test": (cls.test[0], np.full(8, -1)),
            },
            shape=[None, None, 3],
            version="5.1.0",
        )
        cls.dataset = data.get(
            "imagenet", data_dir=cls.folder, calibration_count=6
        )

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        tf.io.gfile.rmtree(cls.folder)

    def _epoch(self, *, seed=0, epoch=0, augment=("flip", "crop")):
        batches = self.dataset.train.training_batches(
            8, seed=seed, epoch=epoch, augment=augment
        )
        images, labels = zip(*batches.as_numpy_iterator(), strict=True)
        return np.concatenate(images), np.concatenate(labels)

    def test_splits_are_those_whose_labels_are_known(self):
        self.assertEqual(self.dataset.input_shape, (224, 224, 3))
        self.assertEqual(self.dataset.train.count, 24)
        self.assertEqual(self.dataset.test.count, 8)
        self.assertEqual(self.dataset.calibration.count, 6)
        self.assertIsNone(self.dataset.validation)
        _, labels = self.dataset.test.arrays()
        self.assertAllEqual(labels, self.test[1])
        self.assertEqual(self.dataset.num_classes, 1000)
        self.assertIn("'validation'", " ".join(self.dataset.notes))

    def test_evaluation_sees_the_centre_of_the_shorter_side_at_256(self):
        """224 of 256 pixels, so from 1/16 to 15/16 of the shorter side."""
        images, _ = self.dataset.test.arrays()

        for image, stored in zip(_raw(images), self.test[0], strict=True):
            height, width, _ = stored.shape
            side = 224 / 256 * min(height, width)
            for axis, length, seen in (
                (0, width, image[112, :, 0]),
                (1, height, image[:, 112, 1]),
            ):
                # Pixel i covers i .. i + 1; the ramp is exact in its middle.
                edge = (length - side) / 2
                places = edge + side * (np.arange(224) + 0.5) / 224
                ramp = 255 * (places - 0.5) / (length - 1)
                self.assertAllClose(
                    seen[2:-2], ramp[2:-2], atol=1.5, msg=f"axis {axis}"
                )

    def test_pixels_are_normalized_as_published_weights_expect(self):
        images, _ = self.dataset.test.arrays()

        for index, image in enumerate(images):
            blue = (index / 255 - 0.406) / 0.225
            self.assertAllClose(image[..., 2], np.full((224, 224), blue))

    def test_training_sees_random_parts_of_the_documented_sizes(self):
        areas, ratios = [], []
        for epoch in range(6):
            images, _ = self._epoch(epoch=epoch, augment=("crop",))
            for image in _raw(images):
                stored = self.train[0][int(np.round(image[0, 0, 2]))]
                height, width, _ = stored.shape
                # A ramp from a to b: its ends are half a pixel inside.
                right, down = (
                    float(np.ptp(ramp)) / 255 * 224 / 223
                    for ramp in (image[112, :, 0], image[:, 112, 1])
                )
                areas.append(right * down)
                ratios.append(right * width / (down * height))

        self.assertBetween(np.min(areas), 0.06, 0.2)
        self.assertBetween(np.max(areas), 0.8, 1.02)
        self.assertBetween(np.min(ratios), 0.72, 0.85)
        self.assertBetween(np.max(ratios), 1.2, 1.38)

    def test_half_of_the_images_are_mirrored(self):
        mirrored = [
            image[112, 0, 0] > image[112, -1, 0]
            for epoch in range(4)
            for image in self._epoch(epoch=epoch, augment=("flip",))[0]
        ]

        # 96 fair coins: 5 standard deviations are 24.5.
        self.assertBetween(np.sum(mirrored), 24, 72)

    def test_every_image_is_seen_once_with_its_label(self):
        images, labels = self._epoch()

        index = np.round(_raw(images)[:, 100, 100, 2]).astype(int)
        self.assertCountEqual(index, range(24))
        self.assertAllEqual(labels, self.train[1][index])

    def test_an_epoch_is_a_function_of_seed_and_epoch_alone(self):
        images, labels = self._epoch(seed=3, epoch=2)
        tf.random.set_seed(1)
        self._epoch(seed=3, epoch=1)

        again = self._epoch(seed=3, epoch=2)

        self.assertAllEqual(again[0], images)
        self.assertAllEqual(again[1], labels)
        for other in ({"seed": 4, "epoch": 2}, {"seed": 3, "epoch": 1}):
            self.assertNotAllClose(self._epoch(**other)[0], images)

    def test_a_started_epoch_goes_on_where_it_was_left(self):
        """Skipping batches gives what an uninterrupted epoch has there."""
        images, _ = self._epoch(seed=5)

        batches = self.dataset.train.training_batches(
            8, seed=5, epoch=0, augment=("flip", "crop")
        )

        (rest,) = [x for x, _ in batches.skip(2).as_numpy_iterator()]
        self.assertAllEqual(rest, images[16:])

    def test_validation_images_leave_the_training_images(self):
        dataset = data.imagenet(data_dir=self.folder, validation_count=5)

        index = [
            {int(np.round(x)) for x in _raw(split.arrays()[0])[:, 0, 0, 2]}
            for split in (dataset.train, dataset.validation)
        ]
        self.assertEqual([len(part) for part in index], [19, 5])
        self.assertEmpty(index[0] & index[1])

    def test_other_sizes_keep_the_same_part_of_the_image(self):
        dataset = data.imagenet(data_dir=self.folder, image_size=56)

        small, _ = dataset.test.arrays()
        large, _ = self.dataset.test.arrays()
        self.assertEqual(small.shape, (8, 56, 56, 3))
        self.assertAllClose(
            _raw(small)[:, 20:36, 20:36],
            _raw(large)
            .reshape(8, 56, 4, 56, 4, 3)
            .mean((2, 4))[:, 20:36, 20:36],
            atol=2.0,
        )

    def test_the_way_to_a_missing_data_set_is_named(self):
        empty = self.get_temp_dir()

        with self.assertRaisesRegex(
            FileNotFoundError,
            rf"(?s){empty}/imagenet2012.*by hand.*ILSVRC2012_img_train.tar.*"
            rf"{empty}/downloads/manual.*tfds build.*--data_dir",
        ):
            data.imagenet(data_dir=empty)


if __name__ == "__main__":
    tf.test.main()
