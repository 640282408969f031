import dataclasses
import math

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf.data import Split

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def _split(count=10, **options):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 4, 4, 3)).astype(np.uint8)
    return Split("train", images, np.arange(count), **options)


class BatchesTest(tf.test.TestCase, parameterized.TestCase):
    def test_images_are_normalized_per_channel(self):
        split = _split(mean=MEAN, std=STD)

        images, labels = split.arrays()

        self.assertEqual(images.dtype, np.float32)
        self.assertAllClose(images, (split.inputs / 255 - MEAN) / STD)
        self.assertAllEqual(labels, np.arange(10))

    def test_bytes_of_another_order_are_the_same_numbers(self):
        for dtype in ("<i4", ">i4", "<f4", ">f4"):
            numbers = np.arange(6).reshape(2, 3).astype(dtype)
            x, _ = Split("train", numbers, np.arange(2)).arrays()
            self.assertAllEqual(x, [[0, 1, 2], [3, 4, 5]])

    def test_numbers_that_batches_cannot_hold_are_refused(self):
        for numbers, held in (
            (np.full((2, 3), 2**63, np.uint64), "int64"),
            (np.full((2, 3), 1e300), "float32"),
        ):
            with self.assertRaisesRegex(ValueError, f"{held} holds"):
                Split("train", numbers, np.arange(2))

    def test_last_partial_batch_is_kept_and_batch_axis_is_open(self):
        batches = _split(10).batches(4)

        self.assertEqual([len(y) for _, y in batches], [4, 4, 2])
        self.assertEqual(batches.cardinality(), 3)
        self.assertIsNone(batches.element_spec[0].shape[0])
        self.assertEqual(batches.element_spec[0].shape[1:], [4, 4, 3])
        self.assertEqual(batches.element_spec[1].dtype, tf.int64)

    def test_batches_compile_a_function_once(self):
        traces = []

        @tf.function
        def step(iterator):
            traces.append(1)  # Runs once per trace, not once per call.
            return tf.reduce_sum(next(iterator)[0])

        split = _split(10)
        for epoch in range(2):
            iterator = iter(split.training_batches(4, seed=0, epoch=epoch))
            for _ in range(3):
                step(iterator)
        step(iter(split.batches(4)))

        self.assertLen(traces, 1)

    @parameterized.parameters((0, ValueError), ("8", TypeError))
    def test_bad_batch_size_is_refused(self, batch_size, error):
        with self.assertRaisesRegex(error, "batch size"):
            _split().batches(batch_size)


class TrainingBatchesTest(tf.test.TestCase, parameterized.TestCase):
    def _epoch(self, split, **options):
        batches = split.training_batches(4, **options)
        images, labels = zip(*batches.as_numpy_iterator(), strict=True)
        return np.concatenate(images), np.concatenate(labels)

    def test_every_image_comes_once_with_its_label(self):
        split = _split(10)

        images, labels = self._epoch(split, seed=0, epoch=0)

        self.assertAllEqual(np.sort(labels), np.arange(10))
        self.assertAllClose(images, split.inputs[labels] / 255)

    def test_same_seed_and_epoch_give_the_same_batches(self):
        augment = ("flip", "shift=1")
        first = self._epoch(_split(), seed=3, epoch=5, augment=augment)
        tf.random.set_seed(17)
        again = self._epoch(_split(), seed=3, epoch=5, augment=augment)
        other = self._epoch(_split(), seed=3, epoch=6, augment=augment)

        self.assertAllEqual(first[0], again[0])
        self.assertNotAllEqual(first[0], other[0])

    def test_shift_brings_in_black_before_normalization(self):
        white = np.full((64, 4, 4, 3), 255, np.uint8)
        split = Split("train", white, np.arange(64), mean=MEAN, std=STD)

        images, _ = self._epoch(split, seed=0, epoch=0, augment=("shift=1",))

        first_channel = np.unique(images[..., 0].round(4))
        self.assertAllClose(first_channel, [-0.5 / 0.2, 0.5 / 0.2])

    def test_flip_mirrors_about_half_of_the_images(self):
        images = np.zeros((400, 2, 2, 1), np.uint8)
        images[:, :, 0] = 255
        split = Split("train", images, np.arange(400))

        flipped, _ = self._epoch(split, seed=0, epoch=0, augment=("flip",))

        self.assertAllEqual(flipped.sum(axis=(1, 2, 3)), np.full(400, 2.0))
        self.assertBetween(flipped[:, 0, 1, 0].mean(), 0.4, 0.6)

    def test_crop_is_refused_in_memory(self):
        with self.assertRaisesRegex(ValueError, "'flip' and 'shift'"):
            _split().training_batches(4, seed=0, epoch=0, augment=("crop",))


class InputsTest(tf.test.TestCase, parameterized.TestCase):
    def _split(self, inputs, **options):
        return Split("train", inputs, np.arange(len(inputs)), **options)

    @parameterized.named_parameters(
        ("ids", np.int32, (5,)),
        ("bytes", np.uint8, (5,)),
        ("wide", np.uint64, (5, 2)),
        ("one", np.int64, ()),
    )
    def test_integers_stay_what_they_are(self, dtype, shape):
        inputs = np.arange(7 * math.prod(shape)).reshape(7, *shape)
        split = self._split(inputs.astype(dtype))

        self.assertAllEqual(split.arrays()[0], inputs)
        self.assertTrue(split.batches(2).element_spec[0].dtype.is_integer)
        self.assertEqual(split.input_shape, shape)
        self.assertFalse(split.holds_images)

    @parameterized.named_parameters(
        ("rows", np.float64, (6,)),
        ("sequences", np.float32, (4, 3)),
        ("images", np.float16, (4, 4, 3)),
        ("volumes", np.float32, (2, 3, 2, 2)),
    )
    def test_floating_point_is_used_as_it_is(self, dtype, shape):
        inputs = np.random.default_rng(0).normal(size=(7, *shape))
        split = self._split(inputs.astype(dtype))

        found = split.arrays()[0]

        self.assertEqual(found.dtype, np.float32)
        self.assertAllClose(found, inputs.astype(dtype))

    def test_rows_are_normalized_by_feature(self):
        inputs = np.random.default_rng(0).normal(size=(7, 3))
        split = self._split(inputs, mean=MEAN, std=STD)

        found = split.arrays()[0]

        self.assertAllClose(found, (inputs - MEAN) / STD, atol=1e-5)

    def test_training_batches_hold_each_row_once(self):
        inputs = np.arange(20).reshape(10, 2)
        batches = self._split(inputs).training_batches(4, seed=0, epoch=0)

        found, labels = zip(*batches.as_numpy_iterator(), strict=True)

        self.assertAllEqual(
            np.concatenate(found), inputs[np.concatenate(labels)]
        )
        self.assertIsNone(batches.element_spec[0].shape[0])

    @parameterized.parameters("flip", "shift=2")
    def test_pixels_of_rows_are_not_moved(self, augment):
        split = self._split(np.zeros((4, 6), np.float32))

        with self.assertRaisesRegex(
            ValueError, r"pixels of images.*'train'.*float32.*\[6\]"
        ):
            split.training_batches(2, seed=0, epoch=0, augment=(augment,))

    def test_ids_are_not_scaled(self):
        with self.assertRaisesRegex(ValueError, "stay what they are.*white=2"):
            self._split(np.zeros((4, 6), np.int32), white=2)


class SeveralInputsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(dict, tuple, list)
    def test_each_is_what_it_is_alone(self, made):
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (7, 4, 4, 1)).astype(np.uint8)
        parts = {"z": rng.normal(size=(7, 3)), "images": images}
        parts["ids"] = np.arange(14, dtype=np.int32).reshape(7, 2)
        inputs = parts if made is dict else made(parts.values())
        split = Split("train", inputs, np.arange(7))
        order = parts if made is dict else range(3)

        for batches in (
            split.batches(3),
            split.training_batches(3, seed=1, epoch=2),
            split.take(5, seed=3).batches(2),
        ):
            for found, labels in batches.as_numpy_iterator():
                for name, alone in zip(order, parts.values(), strict=True):
                    alone = Split("train", alone, np.arange(7)).arrays()[0]
                    self.assertAllClose(found[name], alone[labels])
                    self.assertEqual(found[name].dtype, alone.dtype)
        self.assertEqual(split.count, 7)
        self.assertAllEqual(split.arrays()[1], np.arange(7))

    def test_a_list_of_examples_is_one_input(self):
        examples = [np.full(2, float(number)) for number in range(2)]

        self.assertEqual(Split("train", examples, [0, 1]).input_shape, (2,))

    def test_one_scale_for_several_is_refused(self):
        with self.assertRaisesRegex(ValueError, "several inputs.*white=255"):
            Split("train", (np.zeros((2, 3)),) * 2, [0, 1], white=255)

    @parameterized.parameters(
        ({}, "'train' has none"),
        ({"a": np.zeros((2, 1)), "b": np.zeros((3, 1))}, r"\[2, 3\]"),
        ({"a": np.full((2, 1), np.nan)}, "'train, input a' holds NaN"),
        ({1: np.zeros(2), "1": np.ones(2)}, r"strings.*\[1, '1'\]"),
    )
    def test_others_are_refused(self, inputs, message):
        with self.assertRaisesRegex(ValueError, message):
            Split("train", inputs, [0, 1])


class LabelsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters((), (2,), (4, 1))
    def test_floating_point_is_targets(self, *shape):
        labels = np.random.default_rng(0).normal(size=(7, *shape))
        split = Split("train", np.zeros((7, 3)), labels)

        self.assertAllClose(split.arrays()[1], labels)
        self.assertEqual(split.batches(4).element_spec[1].dtype, tf.float32)
        self.assertFalse(split.holds_classes)
        self.assertAllClose(split.take(3, 0).labels.shape, (3, *shape))

    @parameterized.parameters(((7, 5), (5,)), ((7, 5, 1), (5,)), ((7, 1), ()))
    def test_integers_are_classes_of_examples_or_positions(self, given, shape):
        labels = np.arange(np.prod(given), dtype=np.uint8).reshape(given)
        split = Split("train", np.zeros((7, 5, 3)), labels)

        self.assertAllEqual(split.arrays()[1], labels.reshape(7, *shape))
        self.assertEqual(split.label_shape, shape)
        self.assertTrue(split.holds_classes)
        self.assertEqual(split.labels.dtype, np.int64)

    @parameterized.parameters(int, float)
    def test_labels_of_pixels_do_not_move_with_them(self, dtype):
        labels = np.zeros((10, 4, 4), dtype)
        split = dataclasses.replace(_split(), labels=labels)

        for augment in ("flip", "shift=2"):
            with self.assertRaisesRegex(
                ValueError, r"leave their labels where they are.*'train'.*4, 4"
            ):
                split.training_batches(2, seed=0, epoch=0, augment=(augment,))


class TakeTest(tf.test.TestCase, parameterized.TestCase):
    def test_draw_depends_on_the_seed_alone_and_repeats_nothing(self):
        split = _split(50)

        first = split.take(20, seed=1, name="calibration")

        self.assertEqual(first.name, "calibration")
        self.assertLen(set(first.labels), 20)
        self.assertAllEqual(first.labels, split.take(20, seed=1).labels)
        self.assertNotAllEqual(first.labels, split.take(20, seed=2).labels)
        self.assertAllEqual(first.inputs, split.inputs[first.labels])

    @parameterized.parameters(0, 51)
    def test_too_few_or_too_many_is_refused(self, count):
        with self.assertRaisesRegex(ValueError, r"1 \.\. 50 examples"):
            _split(50).take(count, seed=0)


class BadArraysTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(
        ("no_channels", np.zeros((3, 4, 4), np.uint8), [0, 1, 2], "shape"),
        ("empty", np.zeros((0, 4, 4, 1), np.uint8), [], "empty"),
        ("integers", np.zeros((1, 4, 4, 1), np.int32), [0], "uint8 or float"),
        ("grey", np.zeros((1, 4, 4), np.uint8), [0], "np.newaxis.*np.int32"),
        ("text", np.array([["a"]]), [0], "ids.*holds <U1"),
        ("no_rows", np.zeros((2, 0)), [0, 1], "count, ..."),
        ("nan", np.full((1, 4, 4, 1), np.nan), [0], "NaN"),
        ("labels", np.zeros((2, 4, 4, 1), np.uint8), [0], "one integer label"),
        ("complex_labels", np.zeros((1, 4, 4, 1), np.uint8), [1j], "integer"),
        (
            "nan_labels",
            np.zeros((1, 4, 4, 1), np.uint8),
            [np.nan],
            "labels.*NaN",
        ),
        (
            "few_labels",
            np.zeros((2, 4)),
            np.zeros((1, 4), int),
            r"position of each, \[2, ...\]",
        ),
        ("no_positions", np.zeros((2, 4)), np.zeros((2, 0), int), "position"),
        ("few_targets", np.zeros((2, 4)), [0.5], "integer.*targets"),
    )
    def test_error_says_what_is_wrong(self, images, labels, words):
        with self.assertRaisesRegex(ValueError, words):
            Split("train", images, np.asarray(labels))

    def test_mean_of_wrong_length_is_refused(self):
        with self.assertRaisesRegex(ValueError, "mean .* 3 channels"):
            _split(mean=(0.5,))

    def test_std_of_zero_is_refused(self):
        with self.assertRaisesRegex(ValueError, "positive std"):
            _split(std=(1.0, 0.0, 1.0))


if __name__ == "__main__":
    tf.test.main()
