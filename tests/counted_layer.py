"""A layer that counts the images that pass, and the gradients."""

import tensorflow as tf

from kure_tf.compat import keras

# Images that went through the model, and gradients that came back.
FORWARD = tf.Variable(0, trainable=False)
BACKWARD = tf.Variable(0, trainable=False)


@tf.custom_gradient
def _counted(x):
    FORWARD.assign_add(tf.shape(x)[0])

    def gradient(upstream):
        BACKWARD.assign_add(tf.shape(upstream)[0])
        return upstream

    return tf.identity(x), gradient


class Counted(keras.layers.Layer):
    """Passes on what it gets, and counts it."""

    def call(self, inputs):
        return _counted(inputs)
