"""Fake-quantized models are trained and saved."""

import tempfile

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from fake_quantized_models import (
    layers,
    make_functional,
    make_images,
    make_input,
    make_nested,
    make_sequential,
    make_steps,
    randomized,
    snapshot,
)

from kure_tf import (
    KurtosisRegularizer,
    fake_quantize_model,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.compat import keras
from kure_tf.fake_quantized import Placement, operating_point_of, quantizers_of


def _folder(test):
    folder = tempfile.TemporaryDirectory()
    test.addCleanup(folder.cleanup)
    return folder.name


class TrainingTest(tf.test.TestCase):
    @pytest.mark.one_keras
    def test_training_through_the_rounding_lowers_the_loss(self):
        model = randomized(make_sequential())
        copy = fake_quantize_model(model, Placement())
        set_step_sizes(copy, make_steps(copy))
        set_operating_point(copy, "3/4")
        copy.compile(keras.optimizers.Adam(0.01), "mse")
        images = make_images(16)
        targets = np.random.default_rng(0).normal(size=(16, 4))
        before = copy.evaluate(images, targets, verbose=0)

        copy.fit(images, targets, epochs=15, verbose=0)

        self.assertLess(copy.evaluate(images, targets, verbose=0), before / 2)
        self.assertEqual(operating_point_of(copy), (3, 4))

    def test_regularizers_count_in_the_losses_as_before(self):
        x = inputs = make_input((5,))
        x = layers.Dense(
            4,
            kernel_regularizer=KurtosisRegularizer(1.8),
            activity_regularizer=keras.regularizers.L2(0.1),
            bias_regularizer=keras.regularizers.L1(0.3),
        )(x)
        x = layers.Dense(2, kernel_regularizer=keras.regularizers.L2(0.2))(x)
        model = randomized(keras.Model(inputs, x))
        copy = fake_quantize_model(model, Placement())
        x = make_images(3, (5,))

        def losses(model):
            model(x)
            return sorted(float(loss) for loss in model.losses)

        self.assertLen(losses(model), 4)
        self.assertAllClose(losses(model), losses(copy))
        set_operating_point(copy, "3/FP")
        self.assertLen(losses(copy), 4)

    def test_regularizers_join_the_loss_of_training(self):
        model = keras.Sequential(
            [
                keras.Input((3,)),
                layers.Dense(
                    2,
                    kernel_regularizer=keras.regularizers.L2(1.0),
                    activity_regularizer=keras.regularizers.L2(1.0),
                ),
            ]
        )
        model.compile("sgd", "mse")
        copy = fake_quantize_model(model, Placement())
        x, y = make_images(4, (3,)), np.zeros((4, 2))

        self.assertAllClose(
            model.evaluate(x, y, verbose=0), copy.evaluate(x, y, verbose=0)
        )


class SaveTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.parameters("paper", "tflite")
    def test_a_keras_file_keeps_operating_point_and_step_sizes(self, placement):
        x = inputs = make_input()
        for name in ("a", "b", "c"):
            x = layers.Conv2D(2, 3, padding="same", name=name)(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
        outputs = layers.Dense(3, name="logits")(layers.Flatten()(x))
        copy = fake_quantize_model(
            randomized(keras.Model(inputs, outputs)), placement
        )
        set_step_sizes(copy, make_steps(copy))
        set_operating_point(copy, "3/5 x1.1")
        path = _folder(self) + "/model.keras"
        copy.save(path)

        loaded = keras.models.load_model(path)

        self.assertAllEqual(copy(make_images()), loaded(make_images()))
        expected, found = snapshot(copy), snapshot(loaded)
        self.assertEqual(list(expected), list(found))
        for name in expected:
            self.assertAllEqual(expected[name], found[name])
        pins = [t.pinned_bits for t in quantizers_of(loaded).values()]
        self.assertEqual(8 in pins, placement == "tflite")
        set_operating_point(loaded, "FP/FP")
        set_operating_point(copy, "FP/FP")
        self.assertAllEqual(copy(make_images()), loaded(make_images()))

    @pytest.mark.one_keras
    def test_checkpoints_of_tensorflow_keep_operating_point_and_steps(self):
        first = fake_quantize_model(randomized(make_functional()), Placement())
        second = fake_quantize_model(make_functional(), Placement())
        set_step_sizes(first, make_steps(first))
        set_operating_point(first, "4/4")
        path = tf.train.Checkpoint(model=first).save(_folder(self) + "/c")
        tf.train.Checkpoint(model=second).restore(path)
        self.assertAllEqual(first(make_images()), second(make_images()))
        self.assertEqual(operating_point_of(second), (4, 4))

    def test_a_saved_model_computes_the_same(self):
        model = fake_quantize_model(randomized(make_functional()), Placement())
        set_operating_point(model, "3/FP")
        folder = _folder(self)
        module = tf.Module()
        module.model = model
        module.call = tf.function(model).get_concrete_function(make_images())
        tf.saved_model.save(module, folder)
        loaded = tf.saved_model.load(folder)
        self.assertAllClose(model(make_images()), loaded.call(make_images()))

    @parameterized.parameters(make_functional, make_nested)
    def test_a_weights_file_keeps_operating_point_and_step_sizes(self, make):
        first = fake_quantize_model(randomized(make(), 0), Placement())
        second = fake_quantize_model(randomized(make(), 1), Placement())
        set_step_sizes(first, make_steps(first))
        set_operating_point(first, "4/4")
        path = _folder(self) + "/model.weights.h5"

        first.save_weights(path)
        second.load_weights(path)

        self.assertAllEqual(first(make_images()), second(make_images()))
        self.assertEqual(operating_point_of(second), (4, 4))


if __name__ == "__main__":
    tf.test.main()
