"""Moving what weight quantization does to a layer's mean into its bias."""

import contextlib

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.data.batches import batches_of
from kure_tf.data.sources import check_repeatable
from kure_tf.fake_quantized import (
    keeping,
    quantizers_of,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.ptq.calibration import check_calibration
from kure_tf.quantizers import shared_axes
from kure_tf.settings.bias_correction import BiasCorrection
from kure_tf.settings.operating_point import OperatingPoint


def bias_correction(calibration, point, step_sizes) -> BiasCorrection:
    """Returns the shifts that undo the mean error of quantized weights.

        shift = E[layer(x; W)] - E[layer(x; Q(W))]

    per output channel, over the calibration images and, for convolutions, over
    all pixels of the output; for a dense layer that is E[x] (W - Q(W)). x is
    the layer's input in the float model; the layer's own activation is left
    out. An integer device adds the bias anyway, so this costs nothing there.

    (The reference code of the KURE paper shifts each channel of the quantized
    weights to its float mean instead. That leaves the grid, so no integer
    device can run it.)

    A layer without a bias is skipped, and one that is no convolution or dense
    layer. Fold batch normalization first (the
    placement "tflite"), and every convolution in front of one has a bias.

    Args:
        calibration: What `calibrate` returned for images.
        point: `OperatingPoint`; only the bits of its weights matter.
        step_sizes: Those that the model will run with.

    Raises:
        ValueError: If the calibration has no model or no images.
    """
    check_calibration(calibration)
    model, images = calibration.model, calibration.batches
    if model is None or images is None:
        raise ValueError(
            "Expected a calibration that knows its model and images, since "
            "the mean inputs of layers are measured. Received one without: "
            "make it by ptq.calibrate(model, batches)."
        )
    check_repeatable(images, "to measure the mean inputs of layers")
    hosts = _hosts(model)
    linear = {p: h for p, h in hosts.items() if compat.is_linear(h.layer)}
    shifts, skipped = {}, [path for path in hosts if path not in linear]
    seen = _seen_inputs(model, linear, images)
    with keeping(model):
        set_step_sizes(model, step_sizes)
        set_operating_point(model, OperatingPoint(point.weight_bits, None))
        for path, host in linear.items():
            if host.layer.bias is None:
                skipped.append(path)
            else:
                shifts[path] = _shift(host, seen[path])
    return BiasCorrection(shifts, tuple(skipped))


def _hosts(model):
    """Returns `{layer path: its FakeQuantized}` where weights have one."""
    return {
        path.rpartition("/")[0]: tensor.layer
        for path, tensor in quantizers_of(model).items()
        if tensor.kind == "weight"
    }


def _seen_inputs(model, hosts, batches):
    """Returns what reaches the layers `hosts` of the float model.

    `{layer path: {shape: (sum over the inputs of that shape, their number)}}`
    """
    paths = {id(host): path for path, host in hosts.items()}
    seen = {path: {} for path in hosts}

    def observer(layer, tensor, inputs):
        found = seen[paths[id(layer)]]
        total, count = found.get(tuple(inputs.shape[1:]), (0.0, 0))
        total = total + np.sum(np.asarray(inputs, np.float64), axis=0)
        found[total.shape] = (total, count + len(inputs))

    with contextlib.ExitStack() as stack:
        stack.enter_context(keeping(model))
        set_operating_point(model, OperatingPoint())
        for host in hosts.values():
            stack.enter_context(host.observed_by(observer))
        for batch in batches_of(batches, model, "calibration examples"):
            model(batch.inputs, training=False)
    return seen


def _shift(host, seen):
    """Returns E[layer(x; W)] - E[layer(x; Q(W))] in the shape of the bias.

    The layer without bias and activation is linear in x: its mean output is
    its output for the mean input, of each shape.
    """
    names = [path for path in host.states if path != "input"]
    kernels = [compat.to_numpy(getattr(host.layer, name)) for name in names]
    quantized = [
        np.asarray(
            host.weight_quantizer(tf.constant(kernel), host.states[name])
        )
        for name, kernel in zip(names, kernels, strict=True)
    ]
    einsum = isinstance(host.layer, keras.layers.EinsumDense)
    no_bias = {"bias_axes": None} if einsum else {"use_bias": False}
    linear = compat.copy_layer(
        host.layer, {"activation": "linear", "dtype": "float32", **no_bias}
    )
    inputs = [
        (tf.constant((total / count)[np.newaxis], tf.float32), count)
        for total, count in seen.values()
    ]
    linear.build(inputs[0][0].shape)
    means = []
    for weights in (kernels, quantized):
        linear.set_weights(weights)
        means.append(_mean_output(linear, inputs, tuple(host.layer.bias.shape)))
    return means[0] - means[1]


def _mean_output(linear, inputs, bias_shape):
    """Returns the mean over all inputs and all places that share a bias."""
    means, places = [], []
    for x, count in inputs:
        y = np.asarray(linear(x), np.float64)
        shape = (*[1] * (y.ndim - len(bias_shape)), *bias_shape)
        mean = y.mean(axis=shared_axes(shape, y.ndim))
        means.append(mean.reshape(bias_shape))
        places.append(count * y.size / mean.size)
    return np.average(means, axis=0, weights=places)
