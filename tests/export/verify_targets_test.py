"""Files of models whose labels are numbers, held against loss and outputs."""

import numpy as np
import pytest
import tensorflow as tf

from kure_tf.compat import keras
from kure_tf.evaluation import litert_runner
from kure_tf.export import VerificationError, to_tflite, verify

pytestmark = pytest.mark.one_keras


def _images(count):
    rng = np.random.default_rng(2)
    return rng.normal(0, 2, (count, 8, 8, 2)).astype(np.float32)


class TargetsTest(tf.test.TestCase):
    def _model(self):
        keras.utils.set_random_seed(0)
        layers = keras.layers
        model = keras.Sequential(
            [
                keras.Input((8, 8, 2)),
                layers.Conv2D(6, 3, activation="relu"),
                layers.Flatten(),
                layers.Dense(2),
            ],
            name="numbers",
        )
        model.compile("sgd", "mae")
        return model

    def test_a_file_is_held_against_the_loss_and_the_outputs(self):
        model, images = self._model(), _images(90)
        own = model.predict(images, verbose=0)
        targets = own + np.random.default_rng(0).normal(size=own.shape)
        tflite = to_tflite(model, images)

        found = verify(tflite, model, (images, targets), progress=False)

        answers = litert_runner(tflite.content).outputs(images)[0]
        error = np.abs(answers - targets).mean()
        self.assertAllClose(found.tflite_loss, error)
        self.assertAllClose(found.keras_loss, np.abs(own - targets).mean())
        self.assertEqual(found.loss_name, "compiled mean_absolute_error")
        self.assertIsNone(found.accuracy_drop)
        apart = np.square(answers - own).sum()
        varied = np.square(own - own.mean(0)).sum()
        self.assertAllClose(found.agreement, 1 - apart / varied)
        self.assertIn(f"loss {error:.4g} (Keras", str(found))

    def test_a_single_sigmoid_is_held_against_its_cross_entropy(self):
        model = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")]
        )
        x = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
        labels = np.arange(20) % 2
        p = np.asarray(model(x))[:, 0]

        found = verify(
            to_tflite(model, mode="float"), model, (x, labels), progress=False
        )

        truth = -np.mean(np.log(np.where(labels, p, 1 - p)))
        self.assertAllClose(found.keras_loss, truth)
        self.assertAllClose(found.tflite_loss, truth)

    def test_an_example_alone_is_held_against_its_size(self):
        """It does not vary: rounding was all of its variance."""
        model, images = self._model(), _images(1)
        own = model.predict(images, verbose=0)
        tflite = to_tflite(model, mode="dynamic_range")

        found = verify(tflite, model, (images, own), progress=False)

        answers = litert_runner(tflite.content).outputs(images)[0]
        apart = np.square(answers - own).sum() / np.square(own).sum()
        self.assertAllClose(found.agreement, 1 - apart)

    def test_a_file_of_other_numbers_is_refused(self):
        model, images = self._model(), _images(90)
        tflite = to_tflite(model, images)
        kernel, bias = model.layers[-1].get_weights()
        model.layers[-1].set_weights([0.7 * kernel, bias])

        with self.assertRaisesRegex(
            VerificationError, "reproduces .* of the variance.*98.00%"
        ):
            targets = np.zeros((90, 2))
            verify(tflite, model, (images, targets), progress=False)


if __name__ == "__main__":
    tf.test.main()
