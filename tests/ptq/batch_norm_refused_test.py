import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from batch_norm_nets import normal_images, tiny_model

from kure_tf import fake_quantize_model
from kure_tf.compat import keras
from kure_tf.fake_quantized import (
    batch_norm_statistics,
    keeping,
    set_batch_norm_statistics,
)
from kure_tf.ptq import reestimate_batch_norm
from kure_tf.settings import BatchNormStatistics

pytestmark = pytest.mark.one_keras

layers = keras.layers


class RefusedTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(
        ("none", [], "at least one batch of images for batch norm.*none"),
        ("empty", [normal_images(0)], "at least one batch of images.*none"),
        (
            "shape",
            [normal_images(shape=(5, 5, 1))],
            r"\['batch', 5, 5, 2\].*\[6, 5, 5, 1\]",
        ),
        ("flat", [np.zeros((6, 50))], r"\[6, 50\]"),
        (
            "nan",
            [normal_images(), normal_images() * np.nan],
            "finite.*'bn' has NaN",
        ),
        (
            "single",
            [normal_images(), normal_images(1)],
            "two values.*'nested/bn'.*1",
        ),
    )
    def test_images_that_give_no_statistics_change_nothing(
        self, batches, message
    ):
        model = tiny_model()
        before = model.get_weights()
        with self.assertRaisesRegex(ValueError, message):
            reestimate_batch_norm(model, batches)
        for old, new in zip(before, model.get_weights(), strict=True):
            self.assertAllEqual(old, new)

    def test_a_model_without_batch_norm_is_refused(self):
        model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
        for call in (
            lambda: reestimate_batch_norm(model, [normal_images(shape=(3,))]),
            lambda: batch_norm_statistics(model),
            lambda: set_batch_norm_statistics(model, {}),
        ):
            with self.assertRaisesRegex(ValueError, "with batch normalization"):
                call()

    def test_a_folded_model_has_nothing_to_estimate(self):
        inputs = keras.Input((5, 5, 2))
        x = layers.Conv2D(3, 2, name="conv")(inputs)
        x = layers.Flatten()(layers.BatchNormalization()(x))
        model = keras.Model(inputs, layers.Dense(2)(x))
        folded = fake_quantize_model(model, "tflite")
        with self.assertRaisesRegex(ValueError, "folded into the kernels"):
            reestimate_batch_norm(folded, [normal_images()])

    def test_a_subclassed_model_is_refused(self):
        class Own(keras.Model):
            pass

        with self.assertRaisesRegex(TypeError, "functional or sequential"):
            reestimate_batch_norm(Own(), [normal_images()])


class StatisticsTest(tf.test.TestCase, parameterized.TestCase):
    def test_they_are_put_back_after_an_exception(self):
        model = tiny_model()
        before = model.get_weights()
        with self.assertRaises(KeyboardInterrupt), keeping(model):
            reestimate_batch_norm(model, [normal_images()])
            raise KeyboardInterrupt
        for old, new in zip(before, model.get_weights(), strict=True):
            self.assertAllEqual(old, new)

    def test_they_can_be_kept_and_set_again(self):
        model = tiny_model()
        reestimate_batch_norm(model, [normal_images()])
        kept = batch_norm_statistics(model)
        reestimate_batch_norm(model, [normal_images(seed=2) + 5])
        set_batch_norm_statistics(model, {"nested/bn": kept["nested/bn"]})
        found = batch_norm_statistics(model)
        self.assertAllEqual(found["nested/bn"].mean, kept["nested/bn"].mean)
        self.assertNotAllClose(found["bn"].mean, kept["bn"].mean)

    @parameterized.named_parameters(
        ("name", "other", [0.0] * 3, [1.0] * 3, "unknown ones.*'other'"),
        ("shape", "bn", [0.0] * 2, [1.0] * 3, "mean of 'bn'.*shape"),
        ("nan", "bn", [np.nan] * 3, [1.0] * 3, "mean of 'bn'.*finite"),
        ("negative", "bn", [0.0] * 3, [1, 1, -0.5], "variance.*not negative"),
    )
    def test_statistics_that_do_not_fit_are_refused(
        self, path, mean, variance, message
    ):
        model = tiny_model()
        wrong = BatchNormStatistics(np.array(mean), np.array(variance))
        right = batch_norm_statistics(model)["nested/bn"]
        before = model.get_weights()
        with self.assertRaisesRegex(ValueError, message):
            set_batch_norm_statistics(model, {"nested/bn": right, path: wrong})
        for old, new in zip(before, model.get_weights(), strict=True):
            self.assertAllEqual(old, new)


if __name__ == "__main__":
    tf.test.main()
