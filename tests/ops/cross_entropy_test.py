import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from scipy import special

from kure_tf.ops.cross_entropy import (
    binary_cross_entropy,
    checked_labels,
    cross_entropy,
    soft_cross_entropy,
)


class CrossEntropyTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(True, False)
    def test_value_is_minus_the_log_probability_of_the_label(self, from_logits):
        rng = np.random.default_rng(0)
        logits, labels = rng.normal(size=(7, 4)), rng.integers(4, size=7)
        expected = -special.log_softmax(logits, -1)[np.arange(7), labels]
        outputs = logits if from_logits else special.softmax(logits, -1)
        found = cross_entropy(outputs, labels, from_logits=from_logits)
        self.assertEqual(found.dtype, tf.float32)
        self.assertAllClose(found, expected, rtol=1e-5)

    def test_a_probability_of_zero_costs_much_but_not_infinitely_much(self):
        outputs = tf.Variable([[1.0, 0.0]])
        with tf.GradientTape() as tape:
            found = cross_entropy(outputs, [1], from_logits=False)
        self.assertAllClose(found, [-np.log(np.finfo(np.float32).tiny)])
        self.assertAllEqual(
            np.isfinite(tape.gradient(found, outputs)), [[True, True]]
        )

    def test_half_precision_is_widened(self):
        outputs = tf.constant([[300.0, 0.0]], tf.bfloat16)
        self.assertAllClose(cross_entropy(outputs, [1]), [300.0])

    def test_every_place_has_its_own(self):
        rng = np.random.default_rng(0)
        logits = rng.normal(size=(2, 3, 5, 4))
        labels = rng.integers(4, size=(2, 3, 5))
        expected = np.take_along_axis(
            -special.log_softmax(logits, -1), labels[..., np.newaxis], -1
        )
        self.assertAllClose(
            cross_entropy(logits, labels), expected[..., 0], rtol=1e-5
        )

    def test_targets_may_be_probabilities(self):
        rng = np.random.default_rng(0)
        p = special.softmax(rng.normal(size=(6, 4)), -1)
        t = special.softmax(rng.normal(size=(6, 4)), -1)
        self.assertAllClose(
            soft_cross_entropy(p, t), -(t * np.log(p)).sum(-1), rtol=1e-5
        )
        self.assertAllClose(
            binary_cross_entropy(p, t),
            -(t * np.log(p) + (1 - t) * np.log(1 - p)),
            rtol=1e-5,
        )
        self.assertAllEqual(np.isfinite(binary_cross_entropy([1.0], [0])), [1])


class CheckedLabelsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(
        ((5,), (None, 3)), ((5, 1), (None, 3)), ((5, 2, 4), (None, 2, None, 3))
    )
    def test_class_numbers_are_taken(self, given, shape):
        labels = np.random.default_rng(0).integers(3, size=given)
        found = checked_labels(labels.astype(np.float32), shape)
        self.assertEqual(found.dtype, np.int64)
        self.assertAllEqual(found.ravel(), labels.ravel())
        self.assertLen(found.shape, len(shape) - 1)

    @parameterized.parameters(-1, 3)
    def test_labels_outside_the_classes_are_refused(self, label):
        with self.assertRaisesRegex(ValueError, f"in 0..2.*{label}"):
            checked_labels([0, label], (None, 3))

    @parameterized.parameters(
        (np.eye(3)[:2], (None, 3), r"\[2, 3\].*argmax"),
        (np.zeros((2, 4, 4)), (None, 4, 5, 3), r"\['examples', 4, 5, 3\]"),
        ([0.5, 1.0], (None, 3), "not whole"),
    )
    def test_other_labels_are_refused(self, labels, shape, message):
        with self.assertRaisesRegex(ValueError, message):
            checked_labels(labels, shape)


if __name__ == "__main__":
    tf.test.main()
