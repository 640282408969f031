"""Small models to fake-quantize, and what tests do with them."""

import numpy as np

from kure_tf.compat import keras
from kure_tf.fake_quantized import quantizers_of
from kure_tf.settings import StepSizes, TensorStep

layers = keras.layers


def make_input(shape=(6, 6, 2)):
    return keras.Input(shape)


def make_functional():
    x = inputs = make_input()
    x = layers.Conv2D(3, 3, activation="relu", name="conv")(x)
    y = layers.BatchNormalization(name="norm")(x)
    x = layers.Add()([x, y])
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(4, name="logits")(x))


def make_sequential():
    return keras.Sequential(
        [
            make_input(),
            layers.Conv2D(3, 3, name="conv"),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(4, name="logits"),
        ]
    )


def make_nested():
    inner = keras.Sequential(
        [
            make_input((6, 6, 2)),
            layers.Conv2D(2, 3, padding="same", name="deep"),
        ],
        name="inner",
    )
    inputs = make_input()
    x = layers.Conv2D(2, 1, name="conv")(inputs)
    x = layers.Flatten()(inner(inner(x)))
    return keras.Model(inputs, layers.Dense(4, name="logits")(x))


def randomized(model, seed=0):
    rng = np.random.default_rng(seed)
    model.set_weights(
        [
            # Variances of batch normalization among them: positive.
            np.abs(rng.normal(0.4, 0.3, w.shape)) + 0.01
            if w.ndim == 1
            else rng.normal(0, 0.3, w.shape)
            for w in model.get_weights()
        ]
    )
    return model


def make_images(count=5, shape=(6, 6, 2), seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, *shape)).astype(np.float32)


def make_steps(model, activation_bits=8):
    """Step sizes of 1/16 for all activations."""
    return StepSizes(
        {
            path: TensorStep(1 / 16, activation_bits, -1.0)
            for path, tensor in quantizers_of(model).items()
            if tensor.kind == "activation"
        }
    )


def snapshot(model):
    return {
        path: np.array(value)
        for path, tensor in quantizers_of(model).items()
        for path, value in (
            (f"{path}.bits", tensor.state.bits),
            (f"{path}.calibrated", tensor.state.calibrated_bits),
            (f"{path}.scale", tensor.state.step_scale),
            (f"{path}.step", tensor.state.step_size),
            (f"{path}.origin", tensor.state.origin),
        )
    }
