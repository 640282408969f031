"""What each Keras layer is in integer operators."""

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.fake_quantized import gain_and_shift
from kure_tf.fake_quantized.taps import quantized
from kure_tf.integer_graph.activations import activate
from kure_tf.integer_graph.grids import (
    quantization_of,
    quantization_of_range,
)
from kure_tf.integer_graph.linear_layers import (
    conv,
    dense,
    depthwise,
    einsum_dense,
    over_rows,
    pair,
    separable,
    transposed,
)
from kure_tf.integer_graph.operations import operation_of, read_operation

# FoldedAway is of kure_tf, QuantizeLayer of tensorflow-model-optimization.
_ROOTS = ("keras", "tf_keras", "kure_tf", "tensorflow_model_optimization")


def read_layer(call):
    """Adds the steps of one `LayerCall`; returns the value of its output.

    Raises:
        ValueError: If no integer operator computes the layer; it is named.
    """
    if operation_of(call.layer) is not None:
        return read_operation(call)
    _check_wrapper(call)
    read = READERS.get(type(call.inner).__name__)
    if read is None or not _is_keras_own(type(call.inner)):
        call.refuse(
            "no integer operator computes it. Leave the layer out, write it "
            "with other layers, or leave it in float: allow_float=True."
        )
    if getattr(call.inner, "data_format", None) == "channels_first":
        if "ZeroPadding" not in type(call.inner).__name__:
            call.refuse("LiteRT has channels last. Received channels first.")
    y = read(call)
    if (hosted := call.hosted.get("output")) is None:
        return y
    return call.add(
        "QUANTIZED",
        [y],
        lambda x: quantized(hosted.quantizer, x, hosted.state),
        quantization=quantization_of(hosted, call.layer.name),
    )


def _check_wrapper(call):
    """Refuses a layer whose quantizers are not ours."""
    if call.hosted or call.inner is call.layer:
        return
    config, layer = call.layer.quantize_config, call.inner
    if (
        config.get_output_quantizers(layer)
        or config.get_weights_and_quantizers(layer)
        or config.get_activations_and_quantizers(layer)
    ):
        call.refuse(
            "its quantizers are tensorflow-model-optimization's own. Annotate "
            "the layers that have kernels with configurations of kure_tf, and "
            "no others."
        )


def _is_keras_own(kind):
    # A subclass may compute something else.
    return kind.__module__.partition(".")[0] in _ROOTS


def _identity(call):
    return call.add("IDENTITY", call.inputs, lambda x: x)


def _batch_norm(call):
    gain, shift = gain_and_shift(call.inner)
    return call.add("AFFINE", call.inputs, call.compute, gain=gain, shift=shift)


def _rescaling(call):
    layer = call.inner
    return _affine(call, np.asarray(layer.scale), np.asarray(layer.offset))


def _normalization(call):
    layer = call.inner
    if getattr(layer, "invert", False):
        call.refuse("it is inverted.")
    mean, variance = np.asarray(layer.mean), np.asarray(layer.variance)
    gain = 1.0 / np.maximum(np.sqrt(np.float64(variance)), 1e-7)
    return _affine(call, gain, -mean * gain)


def _affine(call, gain, shift):
    """Adds gain * x + shift, one for all channels or one for each."""
    gain, shift = (np.float64(one).reshape(-1) for one in (gain, shift))
    if gain.size == shift.size == 1:
        gain, shift = gain[0], shift[0]
    return call.add("AFFINE", call.inputs, call.compute, gain=gain, shift=shift)


def _quantize_layer(call):
    """What tensorflow-model-optimization puts behind inputs: 8 bits."""
    low, high = (float(end) for end in call.inner.get_weights()[:2])
    if low < high:  # Else it has seen no data: the calibration images decide.
        call.inputs[0].quantization = quantization_of_range(low, high)
    return _identity(call)


def _layer_scale(call):
    """The gain per channel of ConvNeXt's blocks."""
    gain = np.float64(compat.to_numpy(call.inner.gamma))
    return _affine(call, gain, 0.0 * gain)


def _scaled_sum(call):
    """x + scale * y: the blocks of Inception-ResNet."""
    x, y = call.inputs
    scale = float(call.inner.scale)
    y = call.add("AFFINE", [y], lambda y: scale * y, gain=scale, shift=0.0)
    return call.add("ADD", [x, y], tf.add)


def _two_by_two(kind, compute):
    def read(call):
        total, *others = call.inputs
        for value in others:
            total = call.add(kind, [total, value], compute)
        return total

    return read


def _concatenate(call):
    return call.add(
        "CONCATENATION",
        call.inputs,
        lambda *xs: call.compute(*xs),
        axis=call.inner.axis,
    )


def _activation(call):
    return activate(call, call.inputs[0], call.inner.activation)


def _relu(call):
    return activate(call, call.inputs[0], call.inner)


def _prelu(call):
    """Its slopes, which no quantizer rounds, get 8 bits."""
    slopes = compat.to_numpy(call.inner.alpha).astype(np.float32)
    scale = np.float32(max(np.abs(slopes).max(), 1e-8) / 127)
    return call.add(
        "PRELU",
        call.inputs,
        call.compute,
        slopes=np.rint(slopes / scale).astype(np.int8),
        slope_scale=float(scale),
    )


def _softmax(call):
    if call.inner.axis != -1:
        call.refuse("LiteRT's softmax is over the last axis. Use axis=-1.")
    return activate(call, call.inputs[0], keras.activations.softmax)


def _zero_padding(call):
    layer = call.inner
    pads = layer.padding
    pads = [tuple(pads)] if isinstance(pads[0], int) else list(map(tuple, pads))
    first = getattr(layer, "data_format", "channels_last") == "channels_first"
    return _padded(
        call, call.inputs[0], [(0, 0), *pads] if first else [*pads, (0, 0)]
    )


def _padded(call, x, pads):
    pads = ((0, 0), *pads)
    return call.add("PAD", [x], lambda x: tf.pad(x, pads), pads=pads)


def _pool(kind):
    def read(call):
        layer, x = call.inner, call.inputs[0]
        one_axis = len(layer.pool_size) == 1
        pool = pair(layer.pool_size)
        if one_axis:
            x = call.add("RESHAPE", [x], lambda x: x[:, tf.newaxis])
        y = call.add(
            # The mean over one pixel is the maximum over it.
            "MAX_POOL_2D" if pool == (1, 1) else kind,
            [x],
            over_rows(call.compute) if one_axis else call.compute,
            pool=pool,
            strides=pair(layer.strides),
            padding=layer.padding.upper(),
        )
        if one_axis:
            y = call.add("RESHAPE", [y], lambda x: x[:, 0])
        return y

    return read


def _global_pool(kind, compute):
    def read(call):
        axes = (1, 2) if "2D" in type(call.inner).__name__ else (1,)
        y = call.add(kind, call.inputs, lambda x: compute(x, axes), axes=axes)
        if not call.inner.keepdims:
            return y
        # MEAN that keeps its axes rounds in another way.
        return call.add("RESHAPE", [y], _unsqueezed(len(axes)))

    return read


def _unsqueezed(count):
    return lambda x: tf.reshape(x, [-1, *[1] * count, x.shape[-1]])


def _cropping(call):
    crops = call.inner.cropping
    crops = [crops] if isinstance(crops[0], int) else crops
    begin = (0, *(first for first, _ in crops), 0)
    return call.add("SLICE", call.inputs, call.compute, begin=begin)


def _permute(call):
    axes = (0, *call.inner.dims)
    return call.add("TRANSPOSE", call.inputs, call.compute, axes=axes)


def _up_sampling(call):
    kinds = {
        "nearest": "RESIZE_NEAREST_NEIGHBOR",
        "bilinear": "RESIZE_BILINEAR",
    }
    if call.inner.interpolation not in kinds:
        call.refuse("LiteRT knows interpolation 'nearest' and 'bilinear'.")
    return call.add(
        kinds[call.inner.interpolation],
        call.inputs,
        call.compute,
        factors=tuple(call.inner.size),
    )


def _up_sampling_on_one_axis(call):
    times = int(call.inner.size)
    x = call.add("RESHAPE", call.inputs, lambda x: x[:, tf.newaxis])
    y = call.add(
        "RESIZE_NEAREST_NEIGHBOR",
        [x],
        over_rows(call.compute),
        factors=(1, times),
    )
    return call.add("RESHAPE", [y], lambda x: x[:, 0])


def _reshape(call):
    return call.add("RESHAPE", call.inputs, call.compute)


READERS = {
    "Activation": _activation,
    "ActivityRegularization": _identity,
    "Add": _two_by_two("ADD", tf.add),
    "AlphaDropout": _identity,
    "AveragePooling1D": _pool("AVERAGE_POOL_2D"),
    "AveragePooling2D": _pool("AVERAGE_POOL_2D"),
    "BatchNormalization": _batch_norm,
    "Concatenate": _concatenate,
    "Conv1D": conv,
    "Conv1DTranspose": transposed,
    "Conv2D": conv,
    "Conv2DTranspose": transposed,
    "Cropping1D": _cropping,
    "Cropping2D": _cropping,
    "Dense": dense,
    "CustomScaleLayer": _scaled_sum,
    "DepthwiseConv1D": depthwise,
    "DepthwiseConv2D": depthwise,
    "Dropout": _identity,
    "ELU": _relu,
    "EinsumDense": einsum_dense,
    "Flatten": _reshape,
    "FoldedAway": _identity,
    "GaussianDropout": _identity,
    "GaussianNoise": _identity,
    "GlobalAveragePooling1D": _global_pool("MEAN", tf.reduce_mean),
    "GlobalAveragePooling2D": _global_pool("MEAN", tf.reduce_mean),
    "GlobalMaxPooling1D": _global_pool("REDUCE_MAX", tf.reduce_max),
    "GlobalMaxPooling2D": _global_pool("REDUCE_MAX", tf.reduce_max),
    "LayerScale": _layer_scale,
    "LeakyReLU": _relu,
    "MaxPooling1D": _pool("MAX_POOL_2D"),
    "MaxPooling2D": _pool("MAX_POOL_2D"),
    "Multiply": _two_by_two("MUL", tf.multiply),
    "Normalization": _normalization,
    "PReLU": _prelu,
    "Permute": _permute,
    "QuantizeLayer": _quantize_layer,
    "ReLU": _relu,
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "SeparableConv1D": separable,
    "SeparableConv2D": separable,
    "Softmax": _softmax,
    "SpatialDropout1D": _identity,
    "SpatialDropout2D": _identity,
    "StochasticDepth": _identity,
    "Subtract": _two_by_two("SUB", tf.subtract),
    "SyncBatchNormalization": _batch_norm,
    "UpSampling1D": _up_sampling_on_one_axis,
    "UpSampling2D": _up_sampling,
    "ZeroPadding1D": _zero_padding,
    "ZeroPadding2D": _zero_padding,
}
"""`{class of a Keras layer: function that reads it}`."""
