"""Data sets and metrics that a user's own functions give."""

import sys
import types

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from small_run import RECIPE, make_dataset, make_model, make_plan

from kure_tf import evaluation, runs

pytestmark = pytest.mark.one_keras


def pair(count, first=0):
    """Returns `count` images whose values are their places, and labels."""
    images = np.zeros((count, 4, 4, 1), np.float32)
    images += np.arange(first, first + count).reshape(-1, 1, 1, 1) / 100
    return images, np.arange(count) % 3


def stream(count, first):
    return tf.data.Dataset.from_tensor_slices(pair(count, first))


def rows(count):
    """Returns rows of four numbers, whose labels are their places."""
    values = np.arange(4 * count).reshape(count, 4), np.arange(count) % 3
    return tf.data.Dataset.from_tensor_slices(values)


def targets(count):
    """Returns rows of four numbers, each with its first two."""
    return rows(count).map(lambda x, _: (x, tf.cast(x[:2], tf.float32)))


def tags(count):
    """Returns rows of four numbers, each with the places of its numbers."""
    return rows(count).map(lambda x, _: (x, tf.range(4)))


def masks(count, dtype=tf.uint8):
    """Returns images, each with one class for each pixel."""
    return stream(count, 0).map(
        lambda x, _: (tf.cast(100 * x, dtype), tf.cast(100 * x, tf.int32))
    )


def two_inputs(count):
    return rows(count).map(lambda x, y: ({"b": x, "a": x[:2] + 100}, y))


def two_outputs(count):
    return rows(count).map(lambda x, y: (x, (y, y)))


def two_inputs_of(count):
    """Returns what `two_inputs` has, as arrays."""
    values = np.arange(4.0 * count).reshape(count, 4)
    return {"a": values[:, :2] + 100, "b": values}


def ragged():
    ids = tf.ragged.constant([[1], [2, 3]])
    return tf.data.Dataset.from_tensor_slices((ids, [0, 1]))


def padded():
    """Returns sequences of two lengths, each batch of another one."""
    two, three = (
        tf.data.Dataset.from_tensors(
            (tf.zeros((2, n, 1)), tf.zeros(2, tf.int64))
        )
        for n in (2, 3)
    )
    return two.concatenate(three)


@evaluation.metric("right_or_first", higher_is_better=True)
def right_or_first(y, outputs):
    return (outputs.argmax(-1) == y) | (y == 0)


def grey(count):
    images = np.zeros((count, 6, 6), np.uint8), np.arange(count) % 3
    return tf.data.Dataset.from_tensor_slices(images).batch(6)


def sequences_of_a_generator():
    """Returns sequences with a class for each step, all of five steps."""
    return tf.data.Dataset.from_generator(
        lambda: ((np.zeros((5, 2)), np.arange(5) % 3) for _ in range(9)),
        output_signature=(
            tf.TensorSpec((None, 2), tf.float32),
            tf.TensorSpec((None,), tf.int64),
        ),
    )


RETURNED = {
    "grey": (grey(12), None, grey(6)),
    "of_a_generator": (sequences_of_a_generator(), None, rows(6)),
    "arrays": (pair(9), None, pair(6, 20)),
    "single": (stream(9, 0), stream(3, 10), stream(6, 20)),
    "batched": (stream(9, 0).batch(4), None, stream(6, 20).batch(6)),
    "other": (stream(9, 1), None, stream(6, 20)),
    "two": (pair(9), pair(6)),
    "none": (pair(9), pair(6), None),
    "endless": (stream(9, 0).repeat(), None, stream(6, 20)),
    "rows": (rows(9), None, rows(6)),
    "rows_in_batches": (rows(9).batch(4), None, rows(6).batch(4)),
    "targets": (targets(9), None, targets(6)),
    "targets_in_batches": (targets(9).batch(4), None, targets(6).batch(4)),
    "either": (targets(9).batch(3, drop_remainder=True), None, targets(6)),
    "tags_in_batches": (tags(9).batch(4), None, tags(6).batch(4)),
    "tags": (tags(9), None, tags(6)),
    "masks": (masks(9), None, masks(6)),
    "masks_in_batches": (masks(9).batch(4), None, masks(6).batch(4)),
    "float_masks": (masks(9, tf.float32), None, masks(6, tf.float32)),
    "sequences": (
        rows(9).batch(3, drop_remainder=True),
        None,
        rows(6).batch(3, drop_remainder=True),
    ),
    "two_inputs": (two_inputs(9), None, two_inputs(6)),
    "two_in_batches": (two_inputs(9).batch(4), None, two_inputs(6).batch(4)),
    "two_arrays": (
        (two_inputs_of(9), np.arange(9) % 3),
        None,
        (two_inputs_of(6), np.arange(6) % 3),
    ),
    "listed": (
        (list(two_inputs_of(9).values()), np.arange(9) % 3),
        None,
        (list(two_inputs_of(6).values()), np.arange(6) % 3),
    ),
    "few_of_one": (
        ({"a": np.zeros((9, 4)), "b": np.zeros((8, 4))}, np.zeros(9, int)),
        None,
        (two_inputs_of(6), np.arange(6) % 3),
    ),
    "two_outputs": (two_outputs(9), None, two_outputs(6)),
    "nested": (
        ((np.zeros((9, 4)), (np.zeros(9), np.zeros(9))), np.zeros(9, int)),
        None,
        None,
    ),
    "ragged": (ragged(), None, ragged()),
    "padded": (padded(), None, padded()),
    "text": ("train", None, "test"),
    "ready": make_dataset(),
}


class OwnDataTest(tf.test.TestCase, parameterized.TestCase):
    def setUp(self):
        super().setUp()
        module = types.ModuleType("own_for_test")
        for name, value in RETURNED.items():
            setattr(module, name, lambda value=value: value)
        module.right_or_first = right_or_first
        module.unmarked = lambda y, outputs: y
        sys.modules["own_for_test"] = module
        self.addCleanup(sys.modules.pop, "own_for_test")

    @parameterized.parameters("arrays", "single", "batched")
    def test_a_function_returns_the_splits(self, name):
        dataset = runs.load_dataset(f"own_for_test:{name}", calibration_count=5)

        self.assertEqual(dataset.calibration.count, 5)
        self.assertEqual(dataset.num_classes, 3)
        for split, (images, labels) in (
            (dataset.train, pair(9)),
            (dataset.test, pair(6, 20)),
        ):
            self.assertAllClose(split.arrays()[0], images)
            self.assertAllEqual(split.arrays()[1], labels)
        self.assertEqual(dataset.validation is None, name != "single")

    @parameterized.parameters("rows", "rows_in_batches")
    def test_a_function_returns_rows(self, name):
        dataset = runs.load_dataset(f"own_for_test:{name}")

        found, labels = dataset.test.arrays()
        self.assertEqual(dataset.input_shape, (4,))
        self.assertAllEqual(found, np.arange(24).reshape(6, 4))
        self.assertAllEqual(labels, np.arange(6) % 3)

    @parameterized.parameters("two_inputs", "two_in_batches", "two_arrays")
    def test_a_function_returns_several_inputs(self, name):
        dataset = runs.load_dataset(f"own_for_test:{name}")

        found, labels = dataset.test.arrays()
        self.assertEqual(dataset.input_shape, {"a": (2,), "b": (4,)})
        self.assertAllEqual(found["b"], np.arange(24).reshape(6, 4))
        self.assertAllEqual(found["a"], found["b"][:, :2] + 100)
        self.assertAllEqual(labels, np.arange(6) % 3)
        drawn, labels = dataset.calibration.arrays()
        self.assertAllEqual(labels, drawn["b"][:, 0] // 4 % 3)
        with self.assertRaisesRegex(ValueError, "several inputs.*'small_cnn'"):
            runs.load_model("small_cnn", dataset)

    def test_a_list_of_arrays_is_several_inputs(self):
        dataset = runs.load_dataset("own_for_test:listed")

        self.assertEqual(dataset.input_shape, ((2,), (4,)))
        self.assertAllEqual(
            dataset.test.arrays()[0][1], np.arange(24).reshape(6, 4)
        )

    @parameterized.parameters("targets", "targets_in_batches")
    def test_a_function_returns_targets(self, name):
        dataset = runs.load_dataset(f"own_for_test:{name}")

        found, labels = dataset.test.arrays()
        self.assertIsNone(dataset.num_classes)
        self.assertAllEqual(found, np.arange(24).reshape(6, 4))
        self.assertAllEqual(labels, found[:, :2])

    def test_a_function_returns_labels_of_positions(self):
        dataset = runs.load_dataset("own_for_test:tags_in_batches")

        found, labels = dataset.test.arrays()
        self.assertEqual(dataset.num_classes, 4)
        self.assertAllEqual(found, np.arange(24).reshape(6, 4))
        self.assertAllEqual(labels, np.tile(np.arange(4), (6, 1)))

    @parameterized.parameters("masks", "masks_in_batches")
    def test_a_function_returns_labels_of_pixels(self, name):
        dataset = runs.load_dataset(f"own_for_test:{name}")

        self.assertEqual(dataset.input_shape, (4, 4, 1))
        self.assertAllEqual(
            dataset.test.labels, dataset.test.inputs.squeeze(-1)
        )
        self.assertAllEqual(dataset.test.labels[:, 0, 0], np.arange(6))

    def test_a_named_model_is_for_classes(self):
        dataset = runs.load_dataset("own_for_test:targets")

        with self.assertRaisesRegex(ValueError, "no classes.*'small_cnn'"):
            runs.load_model("small_cnn", dataset)

    def test_a_data_set_is_taken_as_it_is(self):
        found = runs.load_dataset("own_for_test:ready")

        self.assertIs(found, RETURNED["ready"])

    def test_the_name_covers_the_values(self):
        names = [
            runs.load_dataset(f"own_for_test:{name}").name
            for name in ("arrays", "batched", "other")
        ]

        self.assertEqual(names[0].split()[1], names[1].split()[1])
        self.assertNotEqual(names[1].split()[1], names[2].split()[1])

    def test_a_version_of_a_tfds_set_is_no_function(self):
        with self.assertRaisesRegex(FileNotFoundError, "'mnist:3.0.1'"):
            runs.load_dataset("mnist:3.0.1", data_dir="/no/such/folder")

    @parameterized.parameters(
        ("missing", "function of no arguments.*own_for_test:missing"),
        ("two", "train, validation, test.*tuple of 2"),
        ("none", "only validation may be None"),
        ("endless", "training data.*remove .repeat"),
        ("two_outputs", "dense arrays as labels.*training.*tuple of 2"),
        ("nested", "dense arrays as input.*training.*tuple of 2"),
        ("few_of_one", r"as many examples each.*'train'.*\[9, 8\]"),
        ("ragged", "dense arrays as input.*RaggedTensorSpec.*to_tensor"),
        ("either", "tell examples from batches.*unbatch"),
        ("tags", "tell examples from batches.*unbatch"),
        ("float_masks", "tell examples from batches.*unbatch"),
        ("sequences", "tell examples from batches.*unbatch"),
        ("of_a_generator", "tell examples from batches.*unbatch"),
        ("grey", "last axis.*np.newaxis"),
        (
            "padded",
            r"one shape each.*\[2, 1\], \[3, 1\].*padded_batch",
        ),
        ("text", r"training data.*\(inputs, labels\).*str"),
    )
    def test_another_result_is_refused(self, name, message):
        with self.assertRaisesRegex(ValueError, message):
            runs.load_dataset(f"own_for_test:{name}")

    def test_a_metric_is_found_by_its_name(self):
        found = runs.load_metric("own_for_test:right_or_first")

        self.assertIs(found, right_or_first)
        self.assertIs(runs.load_metric("top_5"), evaluation.top_5)

    @parameterized.parameters(
        ("accuracy", "one of.*'top_5'.*'accuracy'"),
        ("Runner", "one of.*'top_5'.*'Runner'"),
        ("own_for_test:unmarked", "name and direction"),
        ("own_for_test:two", "labels and outputs"),
    )
    def test_no_metric_is_refused(self, name, message):
        with self.assertRaisesRegex((TypeError, ValueError), message):
            runs.load_metric(name)

    def test_training_and_sweep_measure_a_metric(self):
        dataset, folder = RETURNED["ready"], self.get_temp_dir()

        model, record = runs.train(
            make_model, dataset, RECIPE, folder, metric=right_or_first
        )
        report, _ = runs.sweep(
            model, dataset, [make_plan()], folder, metric=right_or_first
        )

        images, labels = dataset.test.arrays()
        right = np.argmax(model(images), -1) == labels
        truth = np.mean(right | (labels == 0))
        self.assertAllClose(record["test"]["right_or_first"], truth)
        (in_float, row) = report.runs[0].rows
        self.assertEqual(in_float.metric, "right_or_first")
        self.assertAllClose(in_float.value, truth)
        self.assertIn("loss", row.details)


if __name__ == "__main__":
    tf.test.main()
