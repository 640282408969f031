"""What SpectralNormalization does to the kernel of the layer inside it."""

import contextlib

import tensorflow as tf

from kure_tf.compat.active import keras_module, keras_of
from kure_tf.compat.batch_norm import calling
from kure_tf.compat.graph import is_time_distributed
from kure_tf.compat.kernels import kind_of


def is_normalized(layer) -> bool:
    """Whether `layer` is SpectralNormalization around another one."""
    return kind_of(layer) == "SpectralNormalization"


def plain_layer(layer):
    """Returns the layer that computes what `layer` does in inference.

    That is the one inside SpectralNormalization, which is changed in training
    alone; any other layer itself.
    """
    return layer.layer if is_normalized(layer) else layer


@contextlib.contextmanager
def normalized_first(layer, training):
    """While open, SpectralNormalization computes with the kernel as it is.

        kernel <- kernel / sigma            (Miyato et al. 2018, Eq. 8)

    is written now, if `training`, not in the call: so what takes the kernel's
    place in the call can be made of the normalized one. Inside
    `TimeDistributed`, too, where it is written once for all steps (Keras 3
    writes it at each). Other layers are left alone.

    Args:
        layer: A built layer.
        training: Whether the call that follows is one of training.
    """
    while is_time_distributed(layer):
        layer = layer.layer
    if not is_normalized(layer):
        yield
        return
    if training:
        _normalize(layer)

    def call(inputs, training=False):
        return type(layer).call(layer, inputs, training=False)

    with calling(layer, call):
        yield


def _normalize(layer):
    """Writes kernel and vector as the layer's own call does in training."""
    if keras_of(layer) == "tf_keras":
        vector, kernel = _normalized_weights(layer)
    else:
        ops = keras_module(layer).ops
        vector, kernel = ops.cond(
            ops.all(ops.equal(layer.kernel.value, 0)),
            lambda: (layer.vector_u.value, layer.kernel.value),
            layer.normalized_weights,
        )
    layer.vector_u.assign(vector)
    layer.kernel.assign(kernel)


def _normalized_weights(layer):
    """Returns what tf_keras computes, by another method in each version.

    A kernel of zeros stays, and its vector.
    """
    weights = tf.reshape(layer.kernel, [-1, layer.kernel.shape[-1]])
    u = tf.convert_to_tensor(layer.vector_u)
    for _ in range(layer.power_iterations):
        v = tf.math.l2_normalize(tf.matmul(u, weights, transpose_b=True))
        u = tf.math.l2_normalize(tf.matmul(v, weights))
    sigma = tf.matmul(tf.matmul(v, weights), u, transpose_b=True)
    of_zeros = tf.reduce_all(tf.equal(weights, 0))
    kernel = tf.reshape(weights / sigma, layer.kernel.shape)
    return (
        tf.where(of_zeros, layer.vector_u, u),
        tf.where(of_zeros, layer.kernel, kernel),
    )
