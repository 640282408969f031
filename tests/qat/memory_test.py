"""The memory that a step of quantization-aware training takes."""

import numpy as np
import tensorflow as tf

import kure_tf
from kure_tf.compat import keras

UNITS = 4096  # Large enough a kernel to be summed in parts: 64 MiB.
DEVICE = "CPU:0"


def _bytes_in_use(key):
    return tf.config.experimental.get_memory_info(DEVICE)[key]


class MemoryTest(tf.test.TestCase):
    def setUp(self):
        super().setUp()
        try:
            _bytes_in_use("peak")
        except ValueError as error:
            self.skipTest(f"Without oneDNN nothing counts memory: {error}")

    def test_a_step_takes_the_room_of_a_large_kernel_three_times(self):
        """Quantized, the gradient of that, its own, and parts of an eighth."""
        inputs = keras.Input((UNITS,))
        outputs = keras.layers.Dense(2)(keras.layers.Dense(UNITS)(inputs))
        examples = np.full((4, UNITS), 0.1, np.float32)
        model = kure_tf.quantize_aware(
            keras.Model(inputs, outputs),
            calibration=[examples],
            placement="tflite",
            engine="native",
            verbose=False,
        )

        @tf.function
        def largest_gradients():
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(model(examples, training=True))
            gradients = tape.gradient(loss, model.trainable_variables)
            return [tf.reduce_max(tf.abs(one)) for one in gradients]

        self.assertTrue(all(np.isfinite(largest_gradients())))
        tf.config.experimental.reset_memory_stats(DEVICE)
        before = _bytes_in_use("current")
        largest_gradients()
        taken = _bytes_in_use("peak") - before
        self.assertLess(taken / (4 * UNITS**2), 3.5)


if __name__ == "__main__":
    tf.test.main()
