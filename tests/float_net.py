"""A float net of convolution and batch norm to export, and its images."""

import numpy as np

from kure_tf.compat import keras

SHAPE = (6, 6, 2)


def float_images(count=40, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, *SHAPE)).astype(np.float32)


def float_net(*layers, activation=None, **options):
    """Conv and batch norm of random statistics, `layers`, then 3 classes."""
    keras.utils.set_random_seed(1)
    norm = keras.layers.BatchNormalization(name="norm")
    model = keras.Sequential(
        [
            keras.Input(SHAPE, **options),
            keras.layers.Conv2D(4, 3, name="conv"),
            norm,
            keras.layers.ReLU(),
            *layers,
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, activation=activation, name="dense"),
        ],
        name="net",
    )
    rng = np.random.default_rng(2)
    norm.set_weights(
        [
            rng.uniform(0.5, 2.0, 4),
            rng.normal(size=4),
            rng.normal(size=4),
            rng.uniform(0.5, 2.0, 4),
        ]
    )
    return model
