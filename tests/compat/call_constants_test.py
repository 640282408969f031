"""Copies of models whose layers are called with arrays."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from graph_models import plain_copy

from kure_tf import compat
from kure_tf.compat import keras

_MASK = np.arange(4) < np.full((1, 4, 1), 2)
_X = np.random.default_rng(0).normal(size=(2, 4, 8)).astype(np.float32)


def _model(call, made_of):
    inputs = keras.Input((4, 8))
    attend = keras.layers.MultiHeadAttention(2, 4, name="attend")
    return keras.Model(inputs, call(attend, inputs, made_of(inputs)))


def _by_name(attend, x, mask):
    return attend(x, x, attention_mask=mask)


def _by_place(attend, x, mask):
    """The order of tf_keras."""
    return attend(x, x, None, mask)


class CallConstantsTest(tf.test.TestCase, parameterized.TestCase):
    @parameterized.product(
        call=(_by_name, _by_place), make=(np.array, tf.constant)
    )
    def test_tf_keras_cannot_repeat_them(self, call, make):
        if compat.IS_KERAS_3:
            self.skipTest("Keras 3 keeps arrays.")
        model = _model(call, lambda _: make(_MASK))
        with self.assertRaisesRegex(
            TypeError, "'attention_mask' of 'attend'.*Lambda"
        ):
            compat.clone_model(model, plain_copy)

    @parameterized.parameters(np.array, tf.constant)
    def test_keras_3_keeps_them(self, make):
        if not compat.IS_KERAS_3:
            self.skipTest("tf_keras notes arrays as lists.")
        model = _model(_by_name, lambda _: make(_MASK))
        self._check_copy(model)

    def test_those_made_in_the_graph_are_kept(self):
        make = keras.layers.Lambda(lambda _: tf.constant(_MASK))
        self._check_copy(_model(_by_name, make))

    def _check_copy(self, model):
        copy = compat.clone_model(model, plain_copy)
        self.assertAllEqual(copy(_X), model(_X))


if __name__ == "__main__":
    tf.test.main()
