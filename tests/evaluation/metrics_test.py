"""Metrics against NumPy loops and hand-written cases."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from scipy import special

from kure_tf import evaluation
from kure_tf.evaluation.metrics import check_metric

_RNG = np.random.default_rng(0)
_OUTPUTS = _RNG.normal(size=(40, 9)).astype(np.float32)
_LABELS = _RNG.integers(9, size=40)
# Two images of 2 x 3 pixels and three classes.
_PIXELS = np.array([[[0, 0, 1], [1, 1, 2]], [[0, 0, 0], [0, 0, 0]]])
_ANSWERS = np.array([[[0, 1, 1], [1, 0, 2]], [[0, 0, 0], [2, 2, 0]]])


class ClassesTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters((1, evaluation.top_1), (5, evaluation.top_5))
    def test_the_label_is_among_the_largest(self, k, metric):
        order = np.argsort(-_OUTPUTS, axis=1)[:, :k]
        expected = [y in best for y, best in zip(_LABELS, order, strict=True)]
        self.assertAllEqual(metric(_LABELS, _OUTPUTS), expected)
        self.assertGreater(np.mean(expected), 0.02)

    @parameterized.parameters((1, evaluation.top_1), (5, evaluation.top_5))
    def test_of_equal_outputs_the_first_win(self, k, metric):
        outputs = np.zeros((9, 9), np.float32)
        self.assertAllEqual(metric(np.arange(9), outputs), np.arange(9) < k)

    def test_nan_is_not_among_the_largest_five(self):
        outputs = np.full((3, 9), np.nan, np.float32)
        self.assertAllEqual(evaluation.top_5([0, 1, 8], outputs), [0, 0, 0])

    def test_cross_entropy_is_that_of_logits(self):
        losses = -special.log_softmax(_OUTPUTS, -1)[np.arange(40), _LABELS]
        self.assertAllClose(
            evaluation.cross_entropy(_LABELS, _OUTPUTS), losses, rtol=1e-5
        )

    def test_of_images_the_mean_over_pixels(self):
        outputs = np.eye(3, dtype=np.float32)[_ANSWERS]
        self.assertAllClose(
            evaluation.top_1(_PIXELS, outputs), [4 / 6, 4 / 6], rtol=1e-12
        )
        wrong, right = np.log(np.e + 2), np.log(np.e + 2) - 1
        self.assertAllClose(
            evaluation.cross_entropy(_PIXELS, outputs),
            np.full(2, (4 * right + 2 * wrong) / 6),
        )

    def test_mean_iou_by_hand(self):
        found = evaluation.mean_iou(_PIXELS, np.eye(3)[_ANSWERS])
        # Image 1: classes 0, 1, 2: 1 of 3, 2 of 4, 1 of 1 pixels.
        # Image 2: classes 0 and 2: 4 of 6, 0 of 2; class 1 is in neither.
        self.assertAllClose(
            found, [(1 / 3 + 2 / 4 + 1) / 3, (4 / 6 + 0) / 2], rtol=1e-12
        )

    def test_one_output_names_no_class(self):
        with self.assertRaisesRegex(ValueError, r"two classes.*\[2, 1\]"):
            evaluation.top_1([0, 1], np.zeros((2, 1)))

    def test_one_hot_labels_are_refused(self):
        for metric in (evaluation.top_1, evaluation.mean_iou):
            with self.assertRaisesRegex(ValueError, r"\[2, 3\].*argmax"):
                metric(np.eye(3)[:2], np.zeros((2, 3)))


class NumbersTest(tf.test.TestCase):
    def test_mean_absolute_error_is_that_of_numpy(self):
        y, outputs = _RNG.normal(size=(2, 7, 3, 2))
        self.assertAllClose(
            evaluation.mean_absolute_error(y, outputs),
            np.abs(y - outputs).mean((1, 2)),
            rtol=1e-12,
        )

    def test_one_number_needs_no_axis_of_its_own(self):
        found = evaluation.mean_absolute_error([1, 2], np.array([[1.5], [0]]))
        self.assertAllEqual(found, [0.5, 2.0])

    def test_other_shapes_are_refused(self):
        with self.assertRaisesRegex(ValueError, r"\[2, 3\]. Received: \[2\]"):
            evaluation.mean_absolute_error([1, 2], np.zeros((2, 3)))


class NamesTest(tf.test.TestCase):
    def test_metrics_know_their_name_and_direction(self):
        known = {
            one.metric_name: one.higher_is_better
            for one in (
                evaluation.top_1,
                evaluation.top_5,
                evaluation.cross_entropy,
                evaluation.mean_absolute_error,
                evaluation.mean_iou,
            )
        }
        self.assertEqual(
            known,
            {
                "accuracy": True,
                "top_5": True,
                "cross_entropy": False,
                "mean_absolute_error": False,
                "mean_iou": True,
            },
        )

    def test_a_plain_function_is_refused(self):
        with self.assertRaisesRegex(TypeError, "direction.*lambda"):
            check_metric(lambda y, outputs: y)


if __name__ == "__main__":
    tf.test.main()
