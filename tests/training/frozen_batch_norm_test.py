import numpy as np
import pytest
import tensorflow as tf

from kure_tf import data, training
from kure_tf.compat import keras


def _net():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(3, 3, name="conv"),
            keras.layers.BatchNormalization(momentum=0.9, name="bn"),
            keras.layers.ReLU(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10),
        ]
    )


def _recipe(epochs, frozen):
    return training.Recipe(
        epochs,
        learning_rate=0.05,
        schedule="constant",
        train_images=192,
        batch_size=64,
        frozen_batch_norm_epochs=frozen,
    )


class FrozenBatchNormTest(tf.test.TestCase):
    def test_training_normalizes_with_the_moving_statistics(self):
        model = _net()
        norm = model.get_layer("bn")
        norm.moving_mean.assign([0.1, 0.2, -0.3])
        norm.moving_variance.assign([0.5, 2.0, 1.0])
        x = np.random.default_rng(0).normal(size=(4, 8, 8, 1))
        x = x.astype(np.float32)
        inference = model(x, training=False)
        with training.frozen_batch_norm(model):
            self.assertAllClose(model(x, training=True), inference, rtol=1e-6)
        self.assertAllClose(norm.moving_mean, [0.1, 0.2, -0.3])
        # Afterwards it trains with those of the batch again.
        self.assertNotAllClose(model(x, training=True), inference, atol=1e-3)

    def test_the_last_epochs_leave_statistics_and_train_gamma(self):
        digits = data.digits()
        seen = []

        class Watch(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                norm = self.model.get_layer("bn")
                names = ("moving_mean", "moving_variance", "gamma")
                seen.append([np.array(getattr(norm, name)) for name in names])

        training.fit(
            _net(), digits, _recipe(4, 2), callbacks=[Watch()], verbose=0
        )
        for name, index in (("mean", 0), ("variance", 1)):
            self.assertNotAllEqual(seen[0][index], seen[1][index], name)
            self.assertAllEqual(seen[1][index], seen[2][index], name)
            self.assertAllEqual(seen[2][index], seen[3][index], name)
        self.assertNotAllEqual(seen[2][2], seen[3][2])

    @pytest.mark.one_keras
    def test_a_resumed_run_freezes_too(self):
        digits = data.digits()
        folder = self.get_temp_dir()

        class Stop(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                if epoch == 2:
                    raise KeyboardInterrupt

        whole, resumed = _net(), _net()
        training.fit(whole, digits, _recipe(3, 2), verbose=0)
        with self.assertRaises(KeyboardInterrupt):
            training.fit(
                _net(),
                digits,
                _recipe(3, 2),
                workdir=folder,
                callbacks=[Stop()],
                verbose=0,
            )
        training.fit(resumed, digits, _recipe(3, 2), workdir=folder, verbose=0)
        for one, other in zip(
            whole.get_weights(), resumed.get_weights(), strict=True
        ):
            self.assertAllEqual(one, other)

    def test_a_negative_number_of_epochs_is_refused(self):
        with self.assertRaisesRegex(ValueError, "frozen_batch_norm_epochs.*-1"):
            _recipe(3, -1)


if __name__ == "__main__":
    tf.test.main()
