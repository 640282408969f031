import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from scipy import special

from kure_tf.ops.cross_entropy import checked_labels, cross_entropy


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

    @parameterized.parameters(-1, 3)
    def test_labels_outside_the_classes_are_refused(self, label):
        with self.assertRaisesRegex(ValueError, f"in 0..2.*{label}"):
            checked_labels([0, label], 3)

    def test_one_hot_labels_are_refused(self):
        with self.assertRaisesRegex(ValueError, r"\[2, 3\].*argmax"):
            checked_labels(np.eye(3)[:2], 3)


if __name__ == "__main__":
    tf.test.main()
