"""A model with batch normalization at two levels, and images for it."""

import numpy as np

from kure_tf.compat import keras

layers = keras.layers


def tiny_model(**options):
    """Conv, batch norm, dropout, nested (dense, batch norm), logits."""
    inside = keras.Input((3,))
    x = layers.Dense(4, name="dense")(inside)
    x = layers.BatchNormalization(epsilon=0.01, name="bn", **options)(x)
    nested = keras.Model(inside, x, name="nested")
    inputs = keras.Input((5, 5, 2))
    x = layers.Conv2D(3, 2, use_bias=False, name="conv")(inputs)
    x = layers.BatchNormalization(epsilon=0.1, name="bn", **options)(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.Dropout(0.9, name="dropout")(x)
    x = nested(layers.GlobalAveragePooling2D(name="mean")(x))
    model = keras.Model(
        inputs, layers.Dense(2, name="logits")(layers.ReLU()(x)), name="tiny"
    )
    rng = np.random.default_rng(0)
    model.set_weights(
        [np.abs(rng.normal(0, 0.5, w.shape)) for w in model.get_weights()]
    )
    return model


def normal_images(count=6, seed=1, shape=(5, 5, 2)):
    rng = np.random.default_rng(seed)
    return rng.normal(1.0, 2.0, (count, *shape)).astype(np.float32)
