"""Quantized models that are made and trained on two devices."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import (
    fake_quantize_model,
    quantize_aware,
    regularize_kurtosis,
    runs,
    set_operating_point,
)
from kure_tf.compat import IS_KERAS_3, keras

ENGINES = ("native",) if IS_KERAS_3 else ("native", "tfmot")
# `tests/conftest.py` has made a second one.
DEVICES = ("CPU:0", "CPU:1")
X = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)
Y = np.arange(8) % 3


def _net():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((5,)), *(layers.Dense(n) for n in (6, 5, 4, 3))]
    )


class MirroredTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(engine=ENGINES)
    def test_two_devices_train_as_one_with_kure_counted_once(self, engine):
        """Its term would count twice in the weights, once for each device."""
        one, two = (self._trained(n, engine) for n in (1, 2))

        for (_, after), (_, other) in zip(one, two, strict=True):
            self.assertAllClose(other, after, rtol=1e-4, atol=1e-6)
        self.assertNotAllClose(*one[-1])

    def _trained(self, devices, engine):
        """Returns (before, after) of each weight, two steps of training."""
        strategy = tf.distribute.OneDeviceStrategy(DEVICES[0])
        if devices == 2:
            strategy = runs.strategy_named("mirrored")
        self.assertEqual(strategy.num_replicas_in_sync, devices)
        with strategy.scope():
            net = regularize_kurtosis(_net(), coefficient=5.0, verbose=False)
            model = quantize_aware(
                net, calibration=[X], engine=engine, verbose=False
            )
            set_operating_point(model, "3/4")
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(keras.optimizers.SGD(0.05), loss)
        before = model.get_weights()
        batches = tf.data.Dataset.from_tensor_slices((X, Y)).batch(len(X))
        model.fit(batches, epochs=2, verbose=0)
        return list(zip(before, model.get_weights(), strict=True))

    def test_a_fake_quantized_model_answers_as_on_one_device(self):
        def answers():
            model = fake_quantize_model(_net())
            set_operating_point(model, "3/FP")
            return model.predict(X, verbose=0)

        with runs.strategy_named("mirrored").scope():
            spread = answers()
        self.assertAllClose(spread, answers(), rtol=1e-5)


if __name__ == "__main__":
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 2,
    )
    tf.test.main()
