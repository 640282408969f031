import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf.data.augmentation import (
    Augmentation,
    draw_epoch,
    flip_and_shift,
    parse_augmentation,
)


def _moved(image, flip, top, left, shift):
    """The same in NumPy, image by image."""
    if flip:
        image = image[:, ::-1]
    height, width, _ = image.shape
    padded = np.pad(image, [(shift, shift), (shift, shift), (0, 0)])
    return padded[top : top + height, left : left + width]


class ParseAugmentationTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(
        ((), Augmentation()),
        (("flip", "shift"), Augmentation(flip=True, shift=4)),
        (["shift=2"], Augmentation(shift=2)),
        ("crop", Augmentation(crop=True)),
    )
    def test_names_are_understood(self, names, expected):
        self.assertEqual(parse_augmentation(names), expected)

    @parameterized.parameters(
        "turn", "shift=0", "shift=x", "flip=2", "shift=-1"
    )
    def test_unknown_name_lists_the_choices(self, name):
        with self.assertRaisesRegex(ValueError, "'flip', 'shift'.*Received"):
            parse_augmentation([name])

    def test_repeated_name_is_refused(self):
        with self.assertRaisesRegex(ValueError, "at most once"):
            parse_augmentation(["shift", "shift=2"])


class DrawEpochTest(tf.test.TestCase, parameterized.TestCase):
    def test_draws_are_a_function_of_seed_and_epoch(self):
        options = Augmentation(flip=True, shift=3)
        draws = [
            draw_epoch(50, seed=seed, epoch=epoch, augmentation=options)
            for seed, epoch in [(1, 2), (1, 2), (1, 3), (2, 2)]
        ]

        self.assertAllEqual(draws[0].order, draws[1].order)
        self.assertAllEqual(draws[0].top, draws[1].top)
        self.assertNotAllEqual(draws[0].order, draws[2].order)
        self.assertNotAllEqual(draws[0].order, draws[3].order)

    def test_order_is_a_permutation_and_offsets_reach_both_ends(self):
        draws = draw_epoch(
            1000, seed=0, epoch=0, augmentation=Augmentation(True, 2)
        )

        self.assertAllEqual(np.sort(draws.order), np.arange(1000))
        self.assertAllEqual(np.unique(draws.top), np.arange(5))
        self.assertAllEqual(np.unique(draws.left), np.arange(5))
        self.assertBetween(draws.flip.mean(), 0.4, 0.6)

    def test_no_augmentation_draws_nothing(self):
        draws = draw_epoch(9, seed=0, epoch=0, augmentation=Augmentation())

        self.assertFalse(draws.flip.any() or draws.top.any())


class FlipAndShiftTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(0, 1, 3)
    def test_agrees_with_padding_and_cutting_each_image(self, shift):
        rng = np.random.default_rng(shift)
        images = rng.integers(1, 256, (20, 5, 7, 3)).astype(np.uint8)
        flip = rng.random(20) < 0.5
        top, left = rng.integers(0, 2 * shift + 1, (2, 20)).astype(np.int32)

        result = flip_and_shift(
            tf.constant(images), flip, top, left, shift=shift
        )

        expected = [
            _moved(*arguments, shift)
            for arguments in zip(images, flip, top, left, strict=True)
        ]
        self.assertAllEqual(result, expected)

    def test_images_cannot_leave_the_picture(self):
        images = tf.zeros((1, 5, 7, 3), tf.uint8)
        zeros = tf.zeros([1], tf.int32)
        with self.assertRaisesRegex(ValueError, "fewer than 5.*Received: 5"):
            flip_and_shift(images, zeros > 0, zeros, zeros, shift=5)


if __name__ == "__main__":
    tf.test.main()
