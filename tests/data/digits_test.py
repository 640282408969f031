import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf.data import digits
from kure_tf.data.digits import stratified_order


class DigitsTest(tf.test.TestCase, parameterized.TestCase):
    def test_splits_hold_all_images_once(self):
        dataset = digits()
        splits = (dataset.train, dataset.validation, dataset.test)

        self.assertEqual([s.count for s in splits], [1097, 200, 500])
        images = np.concatenate([split.inputs for split in splits])
        self.assertLen(np.unique(images.reshape(1797, 64), axis=0), 1797)

    def test_class_counts_are_those_of_the_source(self):
        dataset = digits()
        labels = [s.labels for s in (dataset.train, dataset.validation)]

        # Counts given in scikit-learn's documentation of the data set.
        self.assertAllEqual(
            np.bincount(np.concatenate([*labels, dataset.test.labels])),
            [178, 182, 177, 183, 181, 182, 181, 179, 174, 180],
        )

    def test_first_image_is_the_zero_of_the_source(self):
        """The first line of the source: 0 0 5 13 9 1 0 0 0 0 13 15 10 .."""
        dataset = digits()
        rows = np.array(
            [[0, 0, 5, 13, 9, 1, 0, 0], [0, 0, 13, 15, 10, 15, 5, 0]]
        )
        images = np.concatenate(
            [
                s.inputs[..., 0]
                for s in dataset.splits()
                if s.name != "calibration"
            ]
        )
        labels = np.concatenate(
            [s.labels for s in dataset.splits() if s.name != "calibration"]
        )

        (found,) = np.flatnonzero((images[:, :2] == rows).all(axis=(1, 2)))

        self.assertEqual(labels[found], 0)

    def test_pixels_are_scaled_to_one(self):
        images, _ = digits().train.arrays()

        self.assertAllEqual(np.unique(images * 16), np.arange(17))

    def test_calibration_comes_from_training(self):
        dataset = digits(calibration_count=100, calibration_seed=3)

        train = {image.tobytes() for image in dataset.train.inputs}
        drawn = {image.tobytes() for image in dataset.calibration.inputs}
        self.assertLen(drawn, 100)
        self.assertContainsSubset(drawn, train)


class StratifiedOrderTest(tf.test.TestCase, parameterized.TestCase):
    def test_every_stretch_has_the_class_frequencies(self):
        labels = np.repeat([0, 1, 2], [100, 50, 10])

        order = stratified_order(labels, seed=0)

        self.assertAllEqual(np.sort(order), np.arange(160))
        for start in (0, 37, 96):
            counts = np.bincount(labels[order[start : start + 64]])
            self.assertAllClose(counts, [40, 20, 4], atol=1)


if __name__ == "__main__":
    tf.test.main()
