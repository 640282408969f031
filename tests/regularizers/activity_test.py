import os

import numpy as np
import scipy.stats
import tensorflow as tf
from absl.testing import parameterized

from kure_tf.compat import keras
from kure_tf.regularizers import KurtosisActivityRegularization


def _term(x, target=1.8):
    x = np.asarray(x, np.float64)
    return (scipy.stats.kurtosis(x, None, fisher=False) - target) ** 2


def _images(count):
    rng = np.random.default_rng(count)
    return rng.laplace(size=(count, 4, 4, 3)).astype(np.float32)


def _model(policy="float32"):
    inputs = keras.Input((4, 4, 3), dtype="float32")
    layer = KurtosisActivityRegularization(2.0, 0.25, name="kure", dtype=policy)
    return keras.Model(inputs, layer(inputs))


class KurtosisActivityRegularizationTest(
    tf.test.TestCase, parameterized.TestCase
):
    @parameterized.parameters(1, 2, 7, 64)
    def test_one_call_adds_one_term_whatever_the_batch_size(self, count):
        model = _model()
        images = _images(count)

        outputs = model(images)

        self.assertAllEqual(outputs, images)
        self.assertLen(model.losses, 1)
        self.assertAllClose(
            model.losses[0], 0.25 * _term(images, 2.0), rtol=1e-5
        )

    def test_a_second_call_replaces_the_term(self):
        model = _model()
        for count in (3, 5):
            model(_images(count))

        self.assertAllClose(sum(model.losses), 0.25 * _term(_images(5), 2.0))

    def test_a_layer_on_its_own_adds_it_too(self):
        layer = KurtosisActivityRegularization()

        layer(_images(3))

        self.assertAllClose(sum(layer.losses), _term(_images(3)), rtol=1e-5)

    @parameterized.parameters(4, 16)
    def test_training_reports_it_whatever_the_batch_size(self, batch_size):
        model = _model()
        model.compile("sgd", loss=lambda y, p: tf.reduce_mean(p) * 0.0)
        images = _images(batch_size)

        loss = model.evaluate(
            images, np.zeros(batch_size), batch_size=batch_size, verbose=0
        )

        self.assertAllClose(loss, 0.25 * _term(images, 2.0), rtol=1e-5)

    def test_its_gradient_reaches_the_layer_before(self):
        dense = keras.layers.Dense(20)
        model = keras.Sequential(
            [keras.Input((10,)), dense, KurtosisActivityRegularization()]
        )
        x = np.random.default_rng(0).normal(size=(8, 10)).astype(np.float32)

        with tf.GradientTape() as tape:
            model(x)
            loss = sum(model.losses)
        gradient = tape.gradient(loss, model.trainable_variables[0])

        self.assertGreater(np.abs(gradient).max(), 0.0)

    @parameterized.parameters("mixed_bfloat16", "mixed_float16")
    def test_half_precision_is_computed_in_float32(self, policy):
        model = _model(policy)
        images = _images(5) * 50  # Fourth powers are beyond float16.

        model(images)

        self.assertAllClose(
            sum(model.losses), 0.25 * _term(images, 2.0), rtol=0.02
        )

    def test_a_mask_passes_through(self):
        model = keras.Sequential(
            [
                keras.layers.Masking(),
                KurtosisActivityRegularization(),
                keras.layers.GlobalAveragePooling1D(),
            ]
        )
        x = np.zeros((1, 4, 2), np.float32)
        x[0, :2] = [[1.0, 2.0], [3.0, 6.0]]

        self.assertAllClose(model(x), [[2.0, 4.0]])

    @parameterized.parameters("keras", "h5")
    def test_models_with_it_are_saved_and_loaded(self, suffix):
        path = os.path.join(self.get_temp_dir(), f"model.{suffix}")
        _model().save(path)

        loaded = keras.models.load_model(path)

        self.assertAllEqual(loaded(_images(3)), _images(3))
        self.assertAllClose(
            sum(loaded.losses), 0.25 * _term(_images(3), 2.0), rtol=1e-5
        )

    def test_clones_keep_it(self):
        copy = keras.models.clone_model(_model())

        copy(_images(3))

        self.assertAllClose(
            sum(copy.losses), 0.25 * _term(_images(3), 2.0), rtol=1e-5
        )

    def test_bad_arguments_are_refused(self):
        with self.assertRaisesRegex(ValueError, "target of at least 1"):
            KurtosisActivityRegularization(0.5)


if __name__ == "__main__":
    tf.test.main()
