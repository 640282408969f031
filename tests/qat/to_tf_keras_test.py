"""Under both Kerases: Keras 3 and tf_keras can be imported side by side."""

import keras
import numpy as np
import tensorflow as tf
import tf_keras
from absl.testing import parameterized

from kure_tf.compat import IS_KERAS_3, functional_inputs, layers_of
from kure_tf.models import resnet20, small_cnn
from kure_tf.qat.to_tf_keras import to_tf_keras
from kure_tf.regularizers import KurtosisRegularizer

layers = keras.layers


def _randomized(model):
    """Gives every weight, batch-norm statistics among them, its own value."""
    random = np.random.default_rng(1)
    model.set_weights(
        [
            0.5 + random.random(w.shape)
            if w.ndim == 1
            else random.normal(0, 0.2, w.shape)
            for w in model.get_weights()
        ]
    )
    return model


def _dressed():
    inputs = keras.Input((9, 9, 4), name="image")
    x = layers.Rescaling(2.0, offset=-1.0)(inputs)
    x = layers.SeparableConv2D(6, 3, activation="relu", name="separable")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2)(x)
    x = layers.Conv2DTranspose(4, 3, strides=2)(x)
    x = layers.PReLU()(layers.LayerNormalization()(x))
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
    x = layers.Activation("relu")(x)
    y = layers.BatchNormalization(name="norm")(layers.Conv2D(4, 1)(x))
    x = layers.Concatenate()([layers.Multiply()([x, y]), y])
    x = layers.Dropout(0.5)(layers.GlobalMaxPooling2D()(x))
    return keras.Model(inputs, layers.Dense(3, name="logits")(x))


def _nested():
    inner = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4), layers.Dropout(0.9)], name="inner"
    )
    inputs = {name: keras.Input((4,), name=name) for name in "ab"}
    x = inner(inputs["a"], training=False)
    y = layers.Add(name="add")([x, inner(inputs["b"])])
    return keras.Model(inputs, {"sum": y, "x": x}, name="outer")


def _recurrent():
    return keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            layers.Embedding(7, 4),
            layers.GRU(3, return_sequences=True),
            layers.LSTM(2),
        ]
    )


class ToTfKerasTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.named_parameters(
        ("many_layers", _dressed),
        ("nested_with_dictionaries", _nested),
        ("recurrent", _recurrent),
        (
            "mobilenet_v2",
            lambda: keras.applications.MobileNetV2(
                weights=None, input_shape=(32, 32, 3), alpha=0.35, classes=5
            ),
        ),
    )
    def test_outputs_names_and_weights_are_equal(self, make):
        model = _randomized(make())
        copy = to_tf_keras(model)

        self.assertIsInstance(copy, tf_keras.Model)
        self.assertEqual(copy.name, model.name)
        self.assertEqual(
            [path for path, _ in layers_of(copy)],
            [path for path, _ in layers_of(model)],
        )
        for before, after in zip(
            model.get_weights(), copy.get_weights(), strict=True
        ):
            self.assertAllEqual(before, after)
        batch = tf.nest.map_structure(
            lambda x: tf.cast(
                np.random.default_rng(2).integers(0, 7, (3, *x.shape[1:])),
                x.dtype,
            ),
            functional_inputs(model),
        )
        before = model(batch, training=False)
        after = copy(batch, training=False)
        self.assertAllClose(before, after, rtol=1e-5, atol=1e-5)

    @parameterized.named_parameters(
        ("small_cnn", small_cnn), ("resnet20", resnet20)
    )
    def test_models_of_kure_tf_keep_kure(self, make):
        if not IS_KERAS_3:
            self.skipTest("The models are tf_keras ones in this process.")
        model = make(kernel_regularizer=KurtosisRegularizer(1.8, 0.3))
        copy = to_tf_keras(model)
        self.assertAllClose(
            tf.add_n(copy.losses), tf.add_n(model.losses), rtol=1e-5
        )
        self.assertGreater(float(copy.losses[0]), 0.0)

    def test_regularizers_of_keras_are_made_anew(self):
        inputs = keras.Input((4,))
        model = keras.Model(
            inputs, layers.Dense(3, kernel_regularizer="l2")(inputs)
        )
        copy = to_tf_keras(model)
        regularizer = copy.layers[-1].kernel_regularizer
        self.assertIsInstance(regularizer, tf_keras.regularizers.L2)
        self.assertAllClose(copy.losses, model.losses)

    def test_an_adapted_normalization_keeps_what_it_saw(self):
        seen = np.random.default_rng(0).normal(5.0, 2.0, (64, 4))
        normalization = layers.Normalization()
        normalization.adapt(seen.astype(np.float32))
        copy = to_tf_keras(keras.Sequential([keras.Input((4,)), normalization]))
        self.assertAllClose(
            copy(seen.astype(np.float32)),
            (seen - seen.mean(0)) / seen.std(0),
            atol=1e-4,
        )

    def test_frozen_layers_stay_frozen(self):
        model = _nested()
        model.get_layer("inner").trainable = False
        copy = to_tf_keras(model)
        self.assertEmpty(copy.trainable_weights)
        self.assertTrue(copy.trainable)

    def test_a_shared_layer_stays_one(self):
        dense = layers.Dense(4, name="shared")
        inputs = keras.Input((4,))
        model = keras.Model(inputs, dense(layers.ReLU()(dense(inputs))))
        copy = to_tf_keras(_randomized(model))
        self.assertLen(copy.weights, 2)

    def test_a_keras_3_operation_is_named(self):
        inputs = keras.Input((4,))
        model = keras.Model(inputs, layers.ReLU()(inputs) * 2)
        with self.assertRaisesRegex(TypeError, r"class Multiply.* x \* 2"):
            to_tf_keras(model)

    def test_the_first_layer_that_tf_keras_lacks_is_named(self):
        inputs = keras.Input((4,))
        x = layers.RMSNormalization(name="rms")(inputs)
        model = keras.Model(inputs, layers.Lambda(lambda x: x)(x))
        with self.assertRaisesRegex(
            TypeError, r"'rms'.*RMSNormalization.*engine=\"native\""
        ):
            to_tf_keras(model)

    def test_a_users_layer_is_named(self):
        class Doubled(layers.Layer):
            def call(self, inputs):
                return 2 * inputs

        inputs = keras.Input((4,))
        model = keras.Model(inputs, Doubled(name="mine")(inputs))
        with self.assertRaisesRegex(TypeError, "'mine'.*Keras's own"):
            to_tf_keras(model)

    def test_an_option_that_tf_keras_lacks_is_named(self):
        inputs = keras.Input((4,))
        norm = layers.LayerNormalization(rms_scaling=True, name="norm")
        with self.assertRaisesRegex(TypeError, "no option 'rms_scaling'"):
            to_tf_keras(keras.Model(inputs, norm(inputs)))

    def test_a_layer_that_computes_something_else_there_is_noticed(self):
        """As a change in a release of one of the two would be."""
        inputs = keras.Input((4,))
        dense = layers.Dense(4)
        model = keras.Model(inputs, dense(inputs))
        dense.activation = keras.activations.tanh
        dense.get_config = lambda: (
            {**type(dense).get_config(dense)} | {"activation": "relu"}
        )
        with self.assertRaisesRegex(ValueError, "output 0 differ by up to"):
            to_tf_keras(model)

    def test_a_tf_keras_model_needs_no_copy(self):
        inputs = tf_keras.Input((4,))
        model = tf_keras.Model(inputs, tf_keras.layers.ReLU()(inputs))
        with self.assertRaisesRegex(TypeError, "use it as it is"):
            to_tf_keras(model)

    def test_a_subclassed_model_is_refused(self):
        class Mine(keras.Model):
            def call(self, inputs):
                return inputs

        with self.assertRaisesRegex(TypeError, "subclassed model 'Mine'"):
            to_tf_keras(Mine())

    def test_what_a_model_says_of_its_training_is_not_lost(self):
        class Stepping(keras.Model):
            def train_step(self, data):
                return super().train_step(data)

        inputs = keras.Input((3,))
        outputs = layers.Dense(2)(inputs)
        with self.assertRaisesRegex(TypeError, "Stepping with a train_step"):
            to_tf_keras(Stepping(inputs, outputs))
        model = keras.Model(inputs, outputs)
        model.extra = keras.metrics.Mean()
        with self.assertRaisesRegex(TypeError, "has 1 metrics of its own"):
            to_tf_keras(model)


if __name__ == "__main__":
    tf.test.main()
