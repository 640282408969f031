"""Layers that compute with a tensor in place of a variable; state."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import compat
from kure_tf.compat import keras


class ComputingWithTest(tf.test.TestCase, parameterized.TestCase):
    def test_a_layer_computes_with_the_tensor_and_gets_its_own_back(self):
        layer = keras.layers.Dense(2)
        layer.build((None, 3))
        x = np.ones((1, 3), np.float32)
        before, weights = layer(x), layer.get_weights()

        with compat.computing_with(
            layer, [(layer, "kernel", tf.ones((3, 2)))], lambda loss: None
        ):
            inside = layer(x)

        self.assertAllEqual(inside, [[3.0, 3.0]])
        self.assertAllEqual(layer(x), before)
        for now, then in zip(layer.get_weights(), weights, strict=True):
            self.assertAllEqual(now, then)

    def test_its_own_come_back_after_an_error(self):
        layer = keras.layers.Dense(2)
        layer.build((None, 3))
        x = np.ones((1, 3), np.float32)
        before = layer(x)

        with self.assertRaises(ZeroDivisionError):
            with compat.computing_with(
                layer, [(layer, "kernel", tf.ones((3, 2)))], lambda loss: None
            ):
                raise ZeroDivisionError

        self.assertAllEqual(layer(x), before)

    def test_gradients_reach_what_the_tensor_was_made_of(self):
        layer = keras.layers.Dense(2, use_bias=False)
        layer.build((None, 3))
        step = tf.Variable(2.0)

        with tf.GradientTape() as tape:
            tensors = [(layer, "kernel", step * tf.ones((3, 2)))]
            with compat.computing_with(layer, tensors, lambda loss: None):
                y = layer(np.ones((1, 3), np.float32))

        self.assertAllClose(tape.gradient(y, step), 6.0)

    def test_half_precision_layers_compute_in_half_precision(self):
        layer = keras.layers.Dense(2, use_bias=False, dtype="mixed_bfloat16")
        layer.build((None, 3))
        x = np.ones((1, 3), np.float32)

        with compat.computing_with(
            layer,
            [(layer, "kernel", compat.full_precision(layer.kernel))],
            lambda loss: None,
        ):
            inside = layer(x)

        self.assertEqual(inside.dtype, tf.bfloat16)
        self.assertAllEqual(
            tf.cast(inside, tf.float32), tf.cast(layer(x), tf.float32)
        )


class StateTest(tf.test.TestCase):
    def test_state_stays_float32_under_mixed_precision(self):
        class Layer(keras.layers.Layer):
            def build(self, shape):
                self.state = compat.add_state(self, "state", (2,), 0.1)
                self.trained = compat.add_state(
                    self, "trained", (), 1.0, trainable=True
                )

            def call(self, inputs):
                self.seen = tf.convert_to_tensor(self.state)
                return inputs

        layer = Layer(dtype="mixed_float16")
        layer(np.zeros((1, 2), np.float32))

        self.assertEqual(layer.seen.dtype, tf.float32)
        self.assertAllEqual(layer.seen, np.float32([0.1, 0.1]))
        self.assertLen(layer.trainable_weights, 1)
        self.assertAllEqual(compat.to_numpy(layer.trained), 1.0)
        self.assertIsInstance(compat.to_numpy(layer.state), np.ndarray)

    def test_full_precision_is_never_cast(self):
        class Layer(keras.layers.Layer):
            def build(self, shape):
                self.kernel = self.add_weight(name="kernel", shape=(2,))

            def call(self, inputs):
                self.seen = compat.full_precision(self.kernel)
                return inputs

        layer = Layer(dtype="mixed_bfloat16")
        layer(np.zeros((1, 2), np.float32))

        self.assertEqual(layer.seen.dtype, tf.float32)

    def test_a_handle_is_read_when_it_is_used(self):
        layer = keras.layers.Layer()
        state = compat.add_state(layer, "state", (), 3.0)

        @tf.function(input_signature=[tf.TensorSpec([], tf.resource)])
        def read(handle):
            return tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32)

        handle = compat.handle_of(state)
        self.assertAllEqual(read(handle), 3.0)
        state.assign(4.0)
        self.assertAllEqual(read(handle), 4.0)

    def test_what_no_single_variable_holds_has_no_handle(self):
        state = compat.add_state(keras.layers.Layer(), "state", (), 3.0)
        self.assertIsNone(compat.handle_of(3.0))
        self.assertIsNone(compat.handle_of(tf.constant(3.0)))
        if compat.IS_KERAS_3:
            with keras.StatelessScope([(state, tf.constant(4.0))]):
                self.assertIsNone(compat.handle_of(state))

    def test_a_spread_variable_has_a_handle_in_each_replica(self):
        strategy = tf.distribute.MirroredStrategy(["CPU:0"])
        with strategy.scope():
            state = compat.add_state(keras.layers.Layer(), "state", (), 3.0)
            self.assertIsNone(compat.handle_of(state))
        seen = []
        strategy.run(lambda: seen.append(compat.handle_of(state).dtype))
        self.assertEqual(seen, [tf.resource])


if __name__ == "__main__":
    tf.test.main()
