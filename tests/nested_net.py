"""A small net at settings that read one stored code for each weight."""

import functools

import numpy as np
from litert_files import calibrated, randomized

from kure_tf.compat import keras
from kure_tf.fake_quantized import (
    paper_placement,
    quantizers_of,
    tflite_placement,
)
from kure_tf.ptq import minmax
from kure_tf.settings import (
    BatchNormStatistics,
    BiasCorrection,
    NestedWeights,
    OperatingPoint,
    Setting,
)
from kure_tf.settings.nested_weights import nested_point

SHAPE = (6, 6, 2)
_ENDS = {"first_layer": 8, "last_layer": 8}
PLACEMENTS = {
    "per_tensor": paper_placement(**_ENDS),
    "per_channel": tflite_placement(fold_batch_norm=False, **_ENDS),
    "folded": tflite_placement(fold_batch_norm=True, **_ENDS),
}


def images(count=16, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, *SHAPE)).astype(np.float32)


def _net():
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input(SHAPE, name="image"),
        keras.layers.Conv2D(6, 3, use_bias=False, name="conv"),
        keras.layers.BatchNormalization(name="conv_norm"),
        keras.layers.ReLU(),
        keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise"),
        keras.layers.BatchNormalization(name="depthwise_norm"),
        keras.layers.ReLU(),
        keras.layers.Conv2DTranspose(4, 2, strides=2, name="transposed"),
        keras.layers.BatchNormalization(name="transposed_norm"),
        keras.layers.ReLU(),
        keras.layers.AveragePooling2D(4),
        keras.layers.Flatten(),
        keras.layers.Dense(9, activation="relu", name="hidden"),
        keras.layers.Dense(3, name="logits"),
    ]
    model = randomized(keras.Sequential(layers, name="net"))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            signs = np.where(np.arange(layer.gamma.shape[0]) % 3, 1, -1)
            layer.gamma.assign(np.abs(np.asarray(layer.gamma)) * signs)
    return model


@functools.cache
def quantized_net(placement):
    """Returns `(model, calibration)`."""
    return calibrated(_net(), images(), PLACEMENTS[placement])


def settings_of(placement, reading, points):
    """Returns a `Setting` for each pair of bits, of the nearest codes."""
    return nearest_settings(*quantized_net(placement), reading, points)


def nearest_settings(model, calibration, reading, points):
    """Likewise, of any model."""
    return [_setting(model, calibration, reading, *point) for point in points]


def _setting(model, calibration, reading, bits, activation_bits=8):
    steps = minmax(calibration, OperatingPoint(8, activation_bits))
    nested = _nearest(model, steps, reading)
    return Setting(
        nested_point(bits, activation_bits, reading),
        step_sizes=steps,
        rounded_weights=nested.at(bits),
        provenance={"nested_bits": bits, "reading": reading},
        **_statistics(model, bits),
    )


def _nearest(model, steps, reading):
    codes, sizes, pinned = {}, {}, {}
    for path, tensor in quantizers_of(model).items():
        if tensor.kind == "weight":
            sizes[path] = steps.tensors[path].step_size
            found = np.rint(np.asarray(tensor.variable) / sizes[path])
            codes[path] = np.clip(found, -127, 127).astype(np.int8)
            if tensor.pinned_bits:
                pinned[path] = tensor.pinned_bits
    return NestedWeights(
        codes, sizes, reading, pinned, gains=_gains(sizes, pinned)
    )


def _gains(sizes, pinned):
    """Returns other gains for each width."""
    found = {}
    for bits in range(2, 9):
        rng = np.random.default_rng(bits)
        found[bits] = {
            path: np.float32(rng.uniform(0.8, 1.2, np.shape(step)))
            for path, step in sizes.items()
            if path not in pinned
        }
    return found


def _statistics(model, bits):
    """Returns other statistics, or biases, for each width."""
    rng = np.random.default_rng(bits)
    norms = {
        layer.name: BatchNormStatistics(
            rng.normal(0, 0.3, layer.moving_mean.shape),
            rng.uniform(0.3, 2.0, layer.moving_mean.shape),
        )
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    shifts = {
        layer.name: rng.normal(0, 0.01, layer.layer.bias.shape)
        for layer in model.layers
        if layer.name == "hidden"
    }
    return {
        "batch_norm": norms or None,
        "bias_correction": BiasCorrection(shifts),
    }
