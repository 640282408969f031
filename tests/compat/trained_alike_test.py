"""A copy has the losses, metrics and training step of its model."""

import tensorflow as tf
from graph_models import plain_copy

from kure_tf import compat, fake_quantize_model, regularize_kurtosis
from kure_tf.compat import keras
from kure_tf.fake_quantized import fold_batch_norm

layers = keras.layers


def _two_dense(**options):
    inputs = keras.Input((4,))
    x = layers.Dense(3, name="first", **options)(inputs)
    return keras.Model(inputs, layers.Dense(2, name="second")(x), name="net")


class Counting(layers.Layer):
    """Has a metric that it makes itself, and so in each copy."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.mean = keras.metrics.Mean(name="mean")

    def call(self, inputs):
        return inputs


class CheckTrainedAlikeTest(tf.test.TestCase):
    def test_losses_and_metrics_of_layers_go_along(self):
        inputs = keras.Input((4,))
        x = layers.Dense(3, kernel_regularizer="l2", bias_regularizer="l1")
        x = Counting()(x(inputs))
        model = keras.Model(inputs, layers.Dense(2)(x))
        copy = fake_quantize_model(model, "tflite")
        self.assertLen(copy.losses, 2)
        self.assertLen(model.losses, 2)
        self.assertEqual([m.name for m in copy.metrics], ["mean"])

    def test_kure_adds_a_loss_to_those_there_are(self):
        model = _two_dense(bias_regularizer="l2")
        copy = regularize_kurtosis(model, layers=["first"], verbose=False)
        self.assertLen(copy.losses, 2)

    def test_a_metric_set_on_the_model_is_refused(self):
        model = _two_dense()
        model.extra = keras.metrics.Mean(name="extra")
        with self.assertRaisesRegex(
            TypeError, "'net' has 1 metrics of its own, its copy 0"
        ):
            compat.clone_model(model, plain_copy)

    def test_a_loss_that_a_layer_got_later_is_refused(self):
        model = _two_dense()
        first = model.get_layer("first")
        if compat.IS_KERAS_3:
            first.kernel.regularizer = keras.regularizers.L2(1.0)
        else:
            first.add_loss(lambda: tf.reduce_sum(first.kernel**2))
        with self.assertRaisesRegex(
            TypeError, "Layer 'first' has 1 losses of its own, its copy 0"
        ):
            fake_quantize_model(model, "tflite")

    def test_folding_takes_the_regularizers_of_batch_norm_with_it(self):
        inputs = keras.Input((4,))
        x = layers.Dense(3, kernel_regularizer="l2")(inputs)
        norm = layers.BatchNormalization(gamma_regularizer="l2")
        model = keras.Model(inputs, norm(x))
        self.assertLen(fold_batch_norm(model).losses, 1)


if __name__ == "__main__":
    tf.test.main()
