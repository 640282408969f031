"""What each Keras layer is in integer operators."""

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.integer_graph.activations import activate
from kure_tf.integer_graph.affine_layers import (
    batch_norm,
    layer_scale,
    normalization,
    rescaling,
    scaled_sum,
)
from kure_tf.integer_graph.attention_layers import attention, dot_attention
from kure_tf.integer_graph.embedding_layers import embedding
from kure_tf.integer_graph.feature_norms import (
    layer_normalization,
    rms_normalization,
)
from kure_tf.integer_graph.grids import quantization_of_range
from kure_tf.integer_graph.linear_layers import (
    conv,
    dense,
    depthwise,
    einsum_dense,
    locally_connected,
    separable,
    transposed,
)
from kure_tf.integer_graph.masks import check_use, mask_operation
from kure_tf.integer_graph.matrix_products import dot
from kure_tf.integer_graph.operations import operation_of, read_operation
from kure_tf.integer_graph.recurrent_layers import bidirectional, recurrent
from kure_tf.integer_graph.shape_layers import (
    cropping,
    global_pool,
    permute,
    pool,
    reshape,
    up_sampling,
    up_sampling_on_one_axis,
    zero_padding,
)


def read_layer(call):
    """Adds the steps of one `LayerCall`; returns the value of its output.

    Raises:
        ValueError: If no integer operator computes the layer; it is named.
    """
    if operation_of(call.layer) is not None:
        return mask_operation(call) or read_operation(call)
    if type(call.inner).__name__ not in _TAKING_MASKS:
        check_use(call)
    _check_wrapper(call)
    read = READERS.get(type(call.inner).__name__)
    if read is None or not call.is_known:
        ways = "Leave the layer out, or write it with other layers"
        if not call.masks.made:  # In float it cannot hand a mask on, either.
            ways += ", or leave it in float: allow_float=True"
        call.refuse(f"no integer operator computes it. {ways}.")
    if getattr(call.inner, "data_format", None) == "channels_first":
        if "ZeroPadding" not in type(call.inner).__name__:
            call.refuse("LiteRT has channels last. Received channels first.")
    return call.quantize(read(call), "output")


def _check_wrapper(call):
    """Refuses a layer whose quantizers are not ours."""
    if call.hosted or not hasattr(call.layer, "quantize_config"):
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


def _identity(call):
    return call.add("IDENTITY", call.inputs[:1], lambda x: x)


def _quantize_layer(call):
    """What tensorflow-model-optimization puts behind inputs: 8 bits."""
    low, high = (float(end) for end in call.inner.get_weights()[:2])
    if low < high:  # Else it has seen no data: the calibration images decide.
        call.inputs[0].quantization = quantization_of_range(low, high)
    return _identity(call)


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


def _time_distributed(call):
    """Refuses one of which `call.times` is not known."""
    if compat.model_in(call.inner) is None:
        way_out = "or leave the layer in float: allow_float=True."
    else:
        way_out = "and no mask: a whole model is not left in float."
    call.refuse(
        "the number of its time steps is open, or it has a mask. Give "
        f"keras.Input the number, {way_out}"
    )


def _softmax(call):
    if call.inner.axis != -1:
        call.refuse("LiteRT's softmax is over the last axis. Use axis=-1.")
    return activate(call, call.inputs[0], keras.activations.softmax)


BETTER_IN_FLOAT = ("LayerNormalization", "RMSNormalization")
"""Layers that lose much in 8 bits where variances differ much."""

_TAKING_MASKS = (
    "BatchNormalization",  # In training alone.
    "Bidirectional",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "FoldedAway",
    "GRU",
    "GlobalAveragePooling1D",
    "GroupedQueryAttention",
    "LSTM",
    "MultiHeadAttention",
    "RNN",
    "SimpleRNN",
    "SyncBatchNormalization",
)

READERS = {
    "Activation": _activation,
    "ActivityRegularization": _identity,
    "Add": _two_by_two("ADD", tf.add),
    "AlphaDropout": _identity,
    "Attention": dot_attention,
    "AveragePooling1D": pool("AVERAGE_POOL_2D"),
    "AveragePooling2D": pool("AVERAGE_POOL_2D"),
    "BatchNormalization": batch_norm,
    "Bidirectional": bidirectional,
    "Concatenate": _concatenate,
    "Conv1D": conv,
    "Conv1DTranspose": transposed,
    "Conv2D": conv,
    "Conv2DTranspose": transposed,
    "ConvLSTM1D": recurrent,
    "ConvLSTM2D": recurrent,
    "Cropping1D": cropping,
    "Cropping2D": cropping,
    "Dense": dense,
    "CustomScaleLayer": scaled_sum,
    "DepthwiseConv1D": depthwise,
    "DepthwiseConv2D": depthwise,
    "Dot": dot,
    "Dropout": _identity,
    "ELU": _relu,
    "EinsumDense": einsum_dense,
    "Embedding": embedding,
    "Flatten": reshape,
    "FoldedAway": _identity,
    "GRU": recurrent,
    "GaussianDropout": _identity,
    "GaussianNoise": _identity,
    "GlobalAveragePooling1D": global_pool("MEAN", tf.reduce_mean),
    "GlobalAveragePooling2D": global_pool("MEAN", tf.reduce_mean),
    "GlobalMaxPooling1D": global_pool("REDUCE_MAX", tf.reduce_max),
    "GlobalMaxPooling2D": global_pool("REDUCE_MAX", tf.reduce_max),
    "GroupedQueryAttention": attention,
    "LSTM": recurrent,
    "LayerNormalization": layer_normalization,
    "LayerScale": layer_scale,
    "LeakyReLU": _relu,
    "LocallyConnected1D": locally_connected,
    "LocallyConnected2D": locally_connected,
    "MaxPooling1D": pool("MAX_POOL_2D"),
    "MaxPooling2D": pool("MAX_POOL_2D"),
    "MultiHeadAttention": attention,
    "Multiply": _two_by_two("MUL", tf.multiply),
    "Normalization": normalization,
    "PReLU": _prelu,
    "Permute": permute,
    "QuantizeLayer": _quantize_layer,
    "RMSNormalization": rms_normalization,
    "RNN": recurrent,
    "ReLU": _relu,
    "Rescaling": rescaling,
    "Reshape": reshape,
    "SeparableConv1D": separable,
    "SeparableConv2D": separable,
    "SimpleRNN": recurrent,
    "Softmax": _softmax,
    "SpatialDropout1D": _identity,
    "SpatialDropout2D": _identity,
    "StochasticDepth": _identity,
    "Subtract": _two_by_two("SUB", tf.subtract),
    "SyncBatchNormalization": batch_norm,
    "TimeDistributed": _time_distributed,
    "UpSampling1D": up_sampling_on_one_axis,
    "UpSampling2D": up_sampling,
    "ZeroPadding1D": zero_padding,
    "ZeroPadding2D": zero_padding,
}
"""`{class of a Keras layer: function that reads it}`."""
