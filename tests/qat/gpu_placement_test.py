"""No operation of a training step or a sweep falls back to the host.

Skipped without a GPU. With one: CUDA_VISIBLE_DEVICES=0 pytest this file.
"""

import contextlib
import unittest

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import quantize_aware, regularize_kurtosis, set_operating_point
from kure_tf.compat import keras

X = np.random.default_rng(0).normal(size=(8, 8, 8, 2)).astype(np.float32)
Y = np.arange(8) % 3
POINTS = ("4/4", "3/4 x1.1", "4/FP pow2", "4/FP floor", "FP/FP")


@contextlib.contextmanager
def _only_on(device):
    """While open, an operation that the device does not have is an error."""
    tf.config.set_soft_device_placement(False)
    try:
        with tf.device(device):
            yield
    finally:
        tf.config.set_soft_device_placement(True)


@unittest.skipUnless(tf.config.list_physical_devices("GPU"), "There is no GPU.")
class GpuPlacementTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters("lsq", "dorefa")
    def test_a_step_and_all_points_stay_on_the_gpu(self, method):
        layers = keras.layers
        net = keras.Sequential(
            [
                keras.Input((8, 8, 2)),
                layers.Conv2D(4, 3),
                layers.BatchNormalization(),
                layers.Conv2D(4, 3, activation="relu"),
                layers.Flatten(),
                layers.Dense(4),
                layers.Dense(3),
            ]
        )
        model = quantize_aware(
            regularize_kurtosis(net, verbose=False),
            method,
            calibration=[X],
            engine="native",
            verbose=False,
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        optimizer = keras.optimizers.SGD(0.01)
        variables = model.trainable_variables
        optimizer.build(variables)

        @tf.function
        def step(x, y):
            with tf.GradientTape() as tape:
                total = loss(y, model(x, training=True)) + sum(model.losses)
            gradients = tape.gradient(total, variables)
            optimizer.apply_gradients(zip(gradients, variables, strict=True))
            return total

        @tf.function
        def answer(x):
            return model(x, training=False)

        with _only_on("GPU:0"):
            x, y = tf.constant(X), tf.constant(Y)
            self.assertTrue(np.isfinite(step(x, y)))
            for point in POINTS:
                set_operating_point(model, point)
                self.assertTrue(np.isfinite(answer(x)).all())


if __name__ == "__main__":
    tf.test.main()
