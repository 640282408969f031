"""Small nets of random weights, for the tests of the converter."""

import numpy as np
from litert_files import randomized

from kure_tf.compat import keras

layers = keras.layers

SHAPE = (8, 8, 3)


def images(count=32, seed=0):
    """Returns uniform images from -1 to 1."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (count, *SHAPE)).astype(np.float32)


class _Net:
    """Adds layers called c1, c2, ... and the batch norms n1, n2, ..."""

    def __init__(self):
        self.count = 0

    def conv(self, x, kind=layers.Conv2D, *options, norm=True, **others):
        self.count += 1
        x = kind(*options, use_bias=not norm, name=f"c{self.count}", **others)(
            x
        )
        if norm:
            x = layers.BatchNormalization(name=f"n{self.count}")(x)
        return x


def _plain(x, net):
    x = layers.ReLU()(net.conv(x, layers.Conv2D, 6, 3))
    x = layers.MaxPooling2D()(x)
    x = layers.ReLU(6.0)(net.conv(x, layers.Conv2D, 8, 3, padding="same"))
    return layers.GlobalAveragePooling2D()(x)


def _depthwise(x, net):
    x = layers.ReLU()(net.conv(x, layers.Conv2D, 4, 3))
    x = layers.ZeroPadding2D()(x)
    x = net.conv(x, layers.DepthwiseConv2D, 3, depth_multiplier=2, strides=2)
    x = net.conv(layers.ReLU()(x), layers.Conv2D, 6, 1)  # A linear bottleneck.
    x = net.conv(x, layers.DepthwiseConv2D, 3, padding="same")
    return layers.Flatten()(layers.ReLU()(x))


def _residual(x, net):
    x = layers.ReLU()(net.conv(x, layers.Conv2D, 6, 3))
    y = layers.ReLU()(net.conv(x, layers.Conv2D, 6, 3, padding="same"))
    y = net.conv(y, layers.Conv2D, 6, 3, padding="same")
    x = layers.ReLU()(layers.Add()([x, y]))
    y = net.conv(x, layers.Conv2D, 6, 1)
    x = layers.ReLU()(layers.Add()([x, y]))
    return layers.GlobalAveragePooling2D()(x)


def _branches(x, net):
    x = layers.ReLU()(net.conv(x, layers.Conv2D, 6, 3))
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = net.conv(gate, layers.Conv2D, 6, 1, norm=False, activation="sigmoid")
    x = layers.Multiply()([x, gate])
    y = layers.AveragePooling2D(2, strides=1)(x)
    y = layers.ReLU()(net.conv(y, layers.Conv2D, 4, 1))
    z = layers.ReLU()(net.conv(x, layers.Conv2D, 4, 2))
    x = layers.Concatenate()([y, z])
    x = net.conv(x, layers.Conv2D, 6, 1, norm=False, activation="swish")
    x = net.conv(x, layers.Conv2DTranspose, 4, 2, norm=False, strides=2)
    return layers.Flatten()(x)


def _dense(x, net):
    x = layers.Flatten()(x)
    x = layers.ReLU()(net.conv(x, layers.Dense, 12))
    return net.conv(x, layers.Dense, 10, norm=False, activation="relu")


_NETS = {
    "plain": _plain,
    "depthwise": _depthwise,
    "residual": _residual,
    "branches": _branches,
    "dense": _dense,
}


def model_of(name="plain", **options):
    """A net of random weights, some gains of batch norms below zero."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input(SHAPE, name="image")
    x = _NETS[name](inputs, _Net())
    x = layers.Dense(5, name="logits", **options)(x)
    return randomized(keras.Model(inputs, x, name=name), seed=2)
