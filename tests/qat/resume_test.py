"""Quantization-aware models are saved, resumed, and stopped at a lost step."""

import unittest

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from qat_models import (
    METHODS,
    compiled,
    make_images,
    make_net,
    make_quantized,
)

import kure_tf
from kure_tf import data, training
from kure_tf.compat import IS_KERAS_3, keras
from kure_tf.fake_quantized import (
    operating_point_of,
    quantizers_of,
)


class SaveAndResumeTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters(*METHODS)
    def test_keras_file_brings_steps_and_bits_back(self, method):
        quantized = compiled(make_quantized(method))
        quantized.train_on_batch(make_images(), np.arange(16) % 10)
        kure_tf.set_operating_point(quantized, "3/4 x1.1")
        path = self.get_temp_dir() + "/model.keras"
        quantized.save(path)

        loaded = keras.models.load_model(path)

        self.assertEqual(operating_point_of(loaded), (3, 4))
        self.assertAllEqual(loaded(make_images()), quantized(make_images()))
        loaded.train_on_batch(make_images(), np.arange(16) % 10)

    @unittest.skipIf(IS_KERAS_3, "Keras 3 does not load SavedModels.")
    @parameterized.parameters(*METHODS)
    def test_saved_model_brings_steps_and_bits_back(self, method):
        quantized = compiled(make_quantized(method))
        kure_tf.set_operating_point(quantized, "3/4 x1.1")
        path = self.get_temp_dir() + "/saved_model"
        quantized.save(path, save_format="tf")

        loaded = keras.models.load_model(path)

        self.assertEqual(operating_point_of(loaded), (3, 4))
        self.assertAllEqual(loaded(make_images()), quantized(make_images()))
        loaded.train_on_batch(make_images(), np.arange(16) % 10)

    def test_weights_file_brings_steps_and_bits_back(self):
        quantized = compiled(make_quantized())
        quantized.train_on_batch(make_images(), np.arange(16) % 10)
        path = self.get_temp_dir() + "/model.weights.h5"
        quantized.save_weights(path)
        other = make_quantized(weight_bits=8, activation_bits=8)
        other.load_weights(path)
        self.assertEqual(operating_point_of(other), (4, 4))
        self.assertAllEqual(other(make_images()), quantized(make_images()))

    def test_a_killed_run_ends_with_the_same_weights(self):
        digits = data.digits()
        recipe = training.Recipe(
            2, learning_rate=0.01, train_images=256, weight_decay=1e-4
        )

        def fresh():
            keras.utils.set_random_seed(0)
            model = kure_tf.regularize_kurtosis(make_net(), verbose=False)
            return make_quantized(model=model)

        class Kill(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                if epoch == 1:
                    raise KeyboardInterrupt

        whole = fresh()
        training.fit(whole, digits, recipe, verbose=0)
        folder = self.get_temp_dir()
        with self.assertRaises(KeyboardInterrupt):
            training.fit(
                fresh(),
                digits,
                recipe,
                workdir=folder,
                callbacks=[Kill()],
                verbose=0,
            )
        resumed = fresh()
        result = training.fit(
            resumed, digits, recipe, workdir=folder, verbose=0
        )
        self.assertEqual(result.resumed_from, 1)
        for one, other in zip(
            whole.get_weights(), resumed.get_weights(), strict=True
        ):
            self.assertAllEqual(one, other)

    @pytest.mark.one_keras
    def test_a_checkpoint_of_another_method_is_refused(self):
        digits = data.digits()
        recipe = training.Recipe(1, learning_rate=0.01, train_images=64)
        folder = self.get_temp_dir()
        training.fit(
            make_quantized(), digits, recipe, workdir=folder, verbose=0
        )
        with self.assertRaisesRegex(ValueError, "another run.*DoReFa"):
            training.fit(
                make_quantized("dorefa"),
                digits,
                recipe,
                workdir=folder,
                verbose=0,
            )


@pytest.mark.one_keras
class LostStepTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(
        ("nan", np.nan, "NaN"), ("collapsed", 1e-9, "as good as zero")
    )
    def test_stops_with_the_tensor_and_the_checkpoint_kept(self, value, words):
        digits = data.digits()
        folder = self.get_temp_dir()
        recipe = training.Recipe(2, learning_rate=1e-9, train_images=64)

        class Break(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                if epoch == 1:
                    tensor = quantizers_of(self.model)["conv3/input"]
                    tensor.state.step_size.assign(value)

        with self.assertRaisesRegex(ValueError, f"conv3/input is.*{words}"):
            training.fit(
                make_quantized(),
                digits,
                recipe,
                workdir=folder,
                callbacks=[Break()],
                verbose=0,
            )
        kept = training.fit(
            make_quantized(), digits, recipe, workdir=folder, verbose=0
        )
        self.assertEqual(kept.resumed_from, 1)

    def test_nan_within_an_epoch_is_named_too(self):
        class Break(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                tensor = quantizers_of(self.model)["conv3/input"]
                tensor.state.step_size.assign(np.nan)

        with self.assertRaisesRegex(ValueError, "conv3/input is NaN"):
            training.fit(
                make_quantized(),
                data.digits(),
                training.Recipe(
                    1, learning_rate=0.01, train_images=64, batch_size=32
                ),
                callbacks=[Break()],
                verbose=0,
            )


if __name__ == "__main__":
    tf.test.main()
