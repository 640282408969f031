"""Models that are trained with one term more."""

import numpy as np
import tensorflow as tf

from kure_tf.compat import keras
from kure_tf.regularizers.training_term import TrainingTermModel


class _Halved(TrainingTermModel):
    """Adds half the mean output."""

    def training_term(self, x, y, y_pred, sample_weight):
        return tf.reduce_mean(y_pred) / 2


def _model():
    inputs = keras.Input((1,))
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(inputs))
    model.set_weights([np.float32([[3]])])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    return model


class TrainingTermTest(tf.test.TestCase):
    def test_the_term_counts_in_training_alone(self):
        """(3 - 1)^2 + 3 / 2."""
        model, ones = _Halved(_model()), np.ones((4, 1), np.float32)
        self.assertAllClose(model.train_on_batch(ones, ones), 5.5)
        self.assertAllClose(model.evaluate(ones, ones, verbose=0), 4.0)

    def test_a_subclass_without_a_term_is_refused(self):
        model, ones = TrainingTermModel(_model()), np.ones((4, 1), np.float32)
        with self.assertRaisesRegex(TypeError, "Override `training_term"):
            model.train_on_batch(ones, ones)


if __name__ == "__main__":
    tf.test.main()
