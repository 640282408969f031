"""A small model for quantization-aware training."""

import numpy as np

import kure_tf
from kure_tf.compat import keras

METHODS = ("lsq", "dorefa")


def make_images(count=16, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 8, 8, 1)).astype(np.float32)


def make_net(kernel_regularizer=None):
    """Three convolutions on digits; two are quantized where ends are float."""

    def conv(x, filters, index):
        x = keras.layers.Conv2D(
            filters,
            3,
            use_bias=False,
            kernel_regularizer=kernel_regularizer,
            name=f"conv{index}",
        )(x)
        x = keras.layers.BatchNormalization(name=f"bn{index}")(x)
        return keras.layers.ReLU(name=f"relu{index}")(x)

    inputs = keras.Input((8, 8, 1))
    x = conv(conv(conv(inputs, 4, 1), 6, 2), 8, 3)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(10, name="logits")(x))


def compiled(model, metrics=()):
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=list(metrics),
    )
    return model


def make_quantized(
    method="lsq", weight_bits=4, activation_bits=4, model=None, **o
):
    return kure_tf.quantize_aware(
        model or make_net(),
        method,
        weight_bits,
        activation_bits,
        calibration=[make_images()],
        engine="native",
        verbose=False,
        **o,
    )
