"""Small models of every kind of graph."""

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.compat import keras

OTHER = "tf_keras" if compat.IS_KERAS_3 else "keras"


OTHER_FLAG = "1" if compat.IS_KERAS_3 else "0"


@keras.utils.register_keras_serializable("compat_test")
class Scaled(keras.layers.Layer):
    """A user's own layer, with a weight, an option and a loss."""

    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape):
        self.gain = self.add_weight(
            name="gain", shape=(input_shape[-1],), initializer="ones"
        )
        super().build(input_shape)

    def call(self, inputs):
        self.add_loss(tf.reduce_sum(tf.square(tf.convert_to_tensor(self.gain))))
        return inputs * self.gain * self.factor

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def make_plain():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((4,), name="image"),
            layers.Dense(5, activation="relu", name="a"),
            Scaled(3.0, name="scaled"),
            layers.BatchNormalization(name="bn"),
            layers.Dropout(0.5, name="dropout"),
            layers.Dense(2, name="b"),
        ]
    )


def two_in_two_out():
    layers = keras.layers
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="r")
    shared = layers.Dense(4, name="shared")
    inner = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, name="deep")], name="inner"
    )
    x = layers.Add(name="add")([inner(shared(left)), shared(right)])
    y = layers.Concatenate(name="concatenate")([inner(x), right])
    return keras.Model([left, right], {"x": x, "y": y})


def nested_twice():
    layers = keras.layers
    core = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, name="dense")], name="core"
    )
    inputs = keras.Input((4,))
    middle = keras.Model(
        inputs, layers.ReLU(name="relu")(core(inputs)), name="middle"
    )
    return keras.Sequential(
        [keras.Input((4,)), middle, layers.Dense(2, name="head")]
    )


MODELS = {
    "plain": (make_plain, ["a", "scaled", "bn", "dropout", "b"]),
    "two_in_two_out": (
        two_in_two_out,
        ["shared", "inner/deep", "add", "concatenate"],
    ),
    "nested_twice": (
        nested_twice,
        ["middle/core/dense", "middle/relu", "head"],
    ),
}


def plain_copy(path, layer):
    """Makes the layers of a copy by `compat.clone_model` as they were."""
    copy = compat.copy_layer(layer)
    return copy, copy


def make_inputs(model):
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(3, 4)).astype(np.float32) for _ in model.inputs]
    return values if len(values) > 1 else values[0]
