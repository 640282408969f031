import numpy as np
import tensorflow as tf

from kure_tf.ops.straight_through import scale_gradient, straight_through


class StraightThroughTest(tf.test.TestCase):
    def test_value_is_that_of_y_bit_for_bit_and_gradient_that_of_x(self):
        x = tf.Variable([0.3, -1.7e-5, 123.4])
        y = tf.Variable([0.1, 3.0, -7.3])
        with tf.GradientTape() as tape:
            out = straight_through(x, y)
            total = tf.reduce_sum(out * [1.0, 2.0, 3.0])
        to_x, to_y = tape.gradient(total, [x, y])
        self.assertAllEqual(out, y)
        self.assertAllEqual(to_x, [1.0, 2.0, 3.0])
        self.assertIsNone(to_y)

    def test_scaled_gradient_leaves_the_value(self):
        x = tf.Variable(np.float32(0.7))
        with tf.GradientTape() as tape:
            out = scale_gradient(x, 0.25) * 3.0
        self.assertAllEqual(out, np.float32(0.7) * np.float32(3.0))
        self.assertAllEqual(tape.gradient(out, x), 0.75)


if __name__ == "__main__":
    tf.test.main()
