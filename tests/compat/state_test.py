"""Layers that compute with a tensor in place of a variable; state."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.fake_quantized import keeping


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

    def test_a_spread_variable_has_no_handle(self):
        strategy = tf.distribute.MirroredStrategy(["CPU:0"])
        with strategy.scope():
            state = compat.add_state(keras.layers.Layer(), "state", (), 3.0)
            self.assertIsNone(compat.handle_of(state))
        seen = []
        strategy.run(lambda: seen.append(compat.handle_of(state)))
        self.assertEqual(seen, [None])


def _dense(units=3):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(units)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


def _embedding():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((2,), dtype="int32"),
            layers.Embedding(4, 3),
            layers.Flatten(),
            layers.BatchNormalization(),
            layers.Dense(3),
        ]
    )


def _values(model):
    return [compat.to_numpy(weight) for weight in model.weights]


def _share_memory(one, other):
    pairs = zip(_values(one), _values(other), strict=True)
    return [np.shares_memory(a, b) for a, b in pairs]


class SharedMemoryTest(tf.test.TestCase, parameterized.TestCase):
    def test_a_value_is_no_copy_and_cannot_be_written(self):
        weight = _dense().weights[0]

        first, second = compat.to_numpy(weight), compat.to_numpy(weight)

        self.assertTrue(np.shares_memory(first, second))
        with self.assertRaisesRegex(ValueError, "read-only"):
            first[0] = 1.0

    @parameterized.parameters("assign", "fit", "fit_jit")
    def test_a_value_stays_while_its_variable_gets_another(self, change):
        model = _dense()
        values = _values(model)
        before = [value.copy() for value in values]

        _change(model, change)

        self._check_equal(values, before)
        self.assertNotAllClose(_values(model)[0], before[0])

    @parameterized.parameters("assign", "fit", "fit_jit")
    def test_copied_weights_share_memory_until_they_change(self, change):
        model, copy = _dense(), _dense()

        compat.copy_weights(model, copy)

        self.assertEqual(_share_memory(model, copy), [True, True])
        before = model.get_weights()
        _change(copy, change)
        self._check_equal(model.get_weights(), before)
        self.assertNotAllClose(copy.get_weights()[0], before[0])
        self.assertEqual(_share_memory(model, copy), [False, False])

    def _check_equal(self, values, others):
        for one, other in zip(values, others, strict=True):
            self.assertAllEqual(one, other)

    @parameterized.parameters("float64", "bfloat16")
    def test_copied_weights_are_cast(self, dtype):
        model = _dense()
        layer = keras.layers.Dense(3, dtype=dtype)
        layer.build((None, 4))

        compat.copy_weights(model.layers[-1], layer)

        for one, other in zip(model.weights, layer.weights, strict=True):
            expected = tf.cast(compat.to_numpy(one), dtype)
            self.assertAllEqual(compat.to_numpy(other), expected)

    def test_rows_that_adam_writes_are_the_copys_alone(self):
        """Embeddings get sparse updates, batch norm moves by itself."""
        model, copy = _embedding(), _embedding()
        compat.copy_weights(model, copy)
        before = model.get_weights()
        copy.compile(keras.optimizers.Adam(0.1), "mse")
        with keeping(copy):
            copy.fit(np.array([[1, 2]] * 8), np.ones((8, 3)), verbose=0)
            changed = copy.get_weights()
        self._check_equal(model.get_weights(), before)
        self._check_equal(copy.get_weights(), before)
        for old, new in zip(before, changed, strict=True):
            self.assertNotAllClose(old, new)

    def test_weights_of_another_shape_are_refused(self):
        with self.assertRaisesRegex(ValueError, "(?i)shape"):
            compat.copy_weights(_dense(), _dense(units=2))


def _change(model, how):
    if how == "assign":
        model.set_weights([w + 1 for w in model.get_weights()])
        return
    model.compile(
        keras.optimizers.SGD(0.1), "mse", jit_compile=how == "fit_jit"
    )
    x, y = np.ones((8, 4), np.float32), np.ones((8, 3), np.float32)
    model.fit(x, y, batch_size=4, verbose=0)


if __name__ == "__main__":
    tf.test.main()
