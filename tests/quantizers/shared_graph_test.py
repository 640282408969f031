import dataclasses
from unittest import mock

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import (
    convert_variables_to_constants_v2,
)

from kure_tf.ops import grid as grids
from kure_tf.ops import sums
from kure_tf.quantizers import Quantizer, QuantizerState, UniformQuantizer


class _Counting(UniformQuantizer):
    """Counts how often its graph is built."""

    built = 0

    def quantize(self, x, state):
        type(self).built += 1
        return super().quantize(x, state)


def _state(step_size):
    return QuantizerState(
        step_size=tf.constant(step_size, tf.float32),
        bits=tf.constant(4.0),
        calibrated_bits=tf.constant(4.0),
        step_scale=tf.constant(1.0),
        origin=tf.constant(0.0),
    )


class SharedGraphTest(tf.test.TestCase):
    def test_equal_quantizers_of_many_tensors_are_built_once(self):
        _Counting.built = 0

        @tf.function
        def network(*kernels):
            return [_Counting()(x, _state(0.5)) for x in kernels]

        shapes = [(3, 3, 1, 2), (1, 1, 2, 4), (5, 5, 4, 1)]
        for y in network(*map(tf.ones, shapes)):
            self.assertAllEqual(y, np.ones(y.shape))
        self.assertEqual(_Counting.built, 1)

    def test_large_tensors_of_one_shape_share_a_graph_that_knows_it(self):
        _Counting.built = 0
        shapes = [(4, 6), (4, 6), (6, 4), (2, 2), (1, 2)]

        with mock.patch.object(sums, "_LARGE", 24):
            for shape in shapes:
                self.assertAllEqual(
                    _Counting("full")(tf.ones(shape), _state(0.5)),
                    np.ones(shape),
                )

        self.assertEqual(_Counting.built, 3)  # The small ones share one, too.

    def test_tensors_of_many_ranks_raise_no_alarm(self):
        """TensorFlow warns of a function that it traces five times."""
        with self.assertNoLogs("tensorflow"):
            for rank in range(7):
                self.assertAllEqual(
                    _Counting()(tf.ones([1] * rank), _state(0.5)),
                    np.ones([1] * rank),
                )

    def test_variables_are_read_anew_at_each_call(self):
        """[-7, 7] steps at 4 bits, [-1, 1] at 2, of the same range."""
        _Counting.built = 0
        bits = tf.Variable(4.0, trainable=False)
        state = dataclasses.replace(_state(0.5), bits=bits)
        quantize = tf.function(lambda x: _Counting()(x, state))

        x = tf.constant([0.3, 9.0])
        self.assertAllClose(quantize(x), [0.5, 3.5])
        bits.assign(2.0)
        self.assertAllClose(quantize(x), [0.0, 3.5])
        self.assertEqual(_Counting.built, 1)

    def test_a_function_knows_the_variables_that_it_reads(self):
        """Or it could not be frozen."""
        names = [field.name for field in dataclasses.fields(QuantizerState)]
        state = _state(0.5)
        state = QuantizerState(
            **{
                n: tf.Variable(getattr(state, n), trainable=False)
                for n in names
            }
        )
        spec = tf.TensorSpec([2], tf.float32)
        function = tf.function(lambda x: UniformQuantizer()(x, state))
        concrete = function.get_concrete_function(spec)

        self.assertLen(concrete.variables, len(names))
        frozen = convert_variables_to_constants_v2(concrete)
        x = tf.constant([0.3, 9.0])
        self.assertAllEqual(frozen(x)[0], concrete(x))

    def test_tapes_see_a_step_size_that_is_not_trained(self):
        """Beyond the range the result is 7 steps."""
        step_size = tf.Variable(0.5, trainable=False)
        state = dataclasses.replace(_state(0.5), step_size=step_size)
        with tf.GradientTape() as tape:
            tape.watch(step_size)
            y = UniformQuantizer()(tf.constant([9.0]), state)
        self.assertAllClose(tape.gradient(y, step_size), 7.0)

    def test_each_tensor_gets_the_gradient_of_its_own_values(self):
        """1 inside the clipping range, which ends at 7 steps; 0 outside."""
        quantizer = UniformQuantizer()
        one, other = tf.constant([0.2, 9.0]), tf.constant([0.3, 1.0, 8.0])

        @tf.function
        def gradients():
            with tf.GradientTape() as tape:
                tape.watch((one, other))
                y = quantizer(one, _state(0.1)), quantizer(other, _state(1.0))
                loss = tf.reduce_sum(y[0]) + 3.0 * tf.reduce_sum(y[1])
            return tape.gradient(loss, (one, other))

        self.assertAllEqual(gradients()[0], [1.0, 0.0])
        self.assertAllEqual(gradients()[1], [3.0, 3.0, 0.0])

    def test_grids_of_one_name_do_not_share(self):
        coarse = dataclasses.replace(
            grids.NARROW, levels=lambda bits, lowest=None: (-1.0, 1.0)
        )
        own, stock = UniformQuantizer(coarse), UniformQuantizer("narrow")

        self.assertNotEqual(own, stock)
        x = tf.constant([0.5, 3.0])
        self.assertAllClose(stock(x, _state(0.5)), [0.5, 3.0])
        self.assertAllClose(own(x, _state(0.5)), [0.5, 0.5])

    def test_tensors_of_unknown_rank_are_taken(self):
        class Doubled(Quantizer):
            def quantize(self, x, state):
                return x * 2.0

        @tf.function(input_signature=[tf.TensorSpec(None)])
        def double(x):
            return Doubled("narrow")(x, _state(1.0))

        self.assertAllEqual(double(tf.ones([2, 3])), np.full([2, 3], 2.0))

    def test_graphs_do_not_register_gradients_of_their_own(self):
        """What TensorFlow registers is never let go of."""
        from tensorflow.python.framework import ops

        def use():
            tf.function(lambda x: UniformQuantizer()(x, _state(0.5)))(1.0)

        use()
        before = len(ops.gradient_registry.list())
        use()
        self.assertLen(ops.gradient_registry.list(), before)


if __name__ == "__main__":
    tf.test.main()
