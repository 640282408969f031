import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.training import Recipe
from kure_tf.training.random_state import random_variables
from kure_tf.training.working_copy import transfer_weights, working_copy


def _model():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(3, 3, kernel_regularizer=keras.regularizers.L1(0.5)),
            layers.DepthwiseConv2D(2),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(4),
        ]
    )


def _recipe(**options):
    return Recipe(1, learning_rate=0.1, **options)


@keras.utils.register_keras_serializable("working_copy_test")
class _NoSlot(keras.layers.Layer):
    def build(self, shape):
        self.kernel = self.add_weight(name="kernel", shape=(shape[-1], 4))
        super().build(shape)

    def call(self, inputs):
        return inputs @ self.kernel


class WorkingCopyTest(tf.test.TestCase, parameterized.TestCase):
    def test_outputs_and_weights_are_those_of_the_model(self):
        model = _model()
        images = np.random.default_rng(0).random((5, 6, 6, 2), np.float32)

        working = working_copy(model, _recipe(weight_decay=0.1))

        self.assertIsNot(working, model)
        self.assertAllEqual(working(images), model(images))

    def test_weight_decay_adds_half_the_squared_norm_of_kernels(self):
        model = _model()
        kernels = [w for w in model.get_weights() if w.ndim > 1]
        self.assertLen(kernels, 3)  # Conv, depthwise, dense; biases have 1.

        working = working_copy(model, _recipe(weight_decay=0.2))

        expected = sum(0.1 * np.sum(np.square(kernel)) for kernel in kernels)
        expected += 0.5 * np.sum(np.abs(kernels[0]))  # Its own regularizer.
        self.assertAllClose(sum(map(float, working.losses)), expected)

    def test_weight_decay_leaves_the_original_alone(self):
        model = _model()
        before = sum(map(float, model.losses))

        working_copy(model, _recipe(weight_decay=0.2))

        self.assertAllEqual(sum(map(float, model.losses)), before)

    def test_weight_decay_reaches_into_wrappers_and_recurrent_layers(self):
        layers = keras.layers
        model = keras.Sequential(
            [
                keras.Input((5, 3)),
                layers.TimeDistributed(layers.Dense(2, use_bias=False)),
                layers.Bidirectional(layers.LSTM(2, use_bias=False)),
            ]
        )

        working = working_copy(model, _recipe(weight_decay=2.0))

        self.assertAllClose(
            sum(map(float, working.losses)),
            sum(np.sum(np.square(w)) for w in model.get_weights()),
        )

    def test_kernel_that_takes_no_regularizer_is_refused(self):
        model = keras.Sequential([keras.Input((3,)), _NoSlot(name="mine")])

        with self.assertRaisesRegex(ValueError, "'mine'.*weight_decay=0"):
            working_copy(model, _recipe(weight_decay=0.1))

        working_copy(model, _recipe())

    def test_mixed_precision_spares_the_output_layer(self):
        working = working_copy(
            _model(), _recipe(mixed_precision="mixed_bfloat16")
        )

        types = [layer.compute_dtype for layer in working.layers]
        self.assertEqual(types, ["bfloat16"] * 5 + ["float32"])
        self.assertEqual(working(np.zeros((1, 6, 6, 2))).dtype, tf.float32)
        self.assertEqual(
            {str(w.dtype) for w in working.get_weights()}, {"float32"}
        )

    def test_mixed_precision_reaches_into_models_of_each_step(self):
        """And spares what makes the outputs, there too."""
        layers = keras.layers
        frame = [keras.Input((3,)), layers.Dense(2), layers.Dense(2)]
        wrapped = layers.TimeDistributed(keras.Sequential(frame))
        model = keras.Sequential([keras.Input((5, 3)), wrapped])

        working = working_copy(model, _recipe(mixed_precision="mixed_bfloat16"))

        types = [one.compute_dtype for _, one in compat.layers_of(working)]
        self.assertEqual(types, ["bfloat16", "float32"])
        for copy, expected in (
            (working, "bfloat16"),
            (compat.in_float32(working), "float32"),
        ):
            (wrapper,) = copy.layers
            self.assertEqual(wrapper.compute_dtype, expected)

    def test_random_layers_start_from_the_recipes_seed(self):
        model = _model()

        states = [
            np.array(random_variables(working_copy(model, recipe))[0])
            for recipe in (_recipe(seed=1), _recipe(seed=1), _recipe(seed=2))
        ]

        self.assertAllEqual(states[0], states[1])
        self.assertNotAllEqual(states[0], states[2])

    def test_frozen_layers_stay_frozen(self):
        model = _model()
        model.layers[0].trainable = False

        working = working_copy(model, _recipe(weight_decay=0.1))

        self.assertFalse(working.layers[0].trainable)
        self.assertLen(working.trainable_weights, len(model.trainable_weights))

    def test_nested_model_is_copied_and_transferred_back(self):
        inner = _model()
        inputs = keras.Input((6, 6, 2))
        model = keras.Model(inputs, keras.layers.Dense(2)(inner(inputs)))

        working = working_copy(model, _recipe(weight_decay=0.1))
        changed = [w + 1 for w in working.get_weights()]
        working.set_weights(changed)
        transfer_weights(working, model)

        for weight, expected in zip(model.get_weights(), changed, strict=True):
            self.assertAllEqual(weight, expected)


if __name__ == "__main__":
    tf.test.main()
