"""Folding batch normalization into the kernel in front of it."""

import numpy as np

from kure_tf import compat
from kure_tf.compat import keras, register_serializable
from kure_tf.fake_quantized.host import hosted_tensors
from kure_tf.fake_quantized.layer_graph import LayerGraph
from kure_tf.fake_quantized.same_outputs import check_same_outputs

_TOLERANCE = 1e-3  # A tiny variance makes of a last bit much more than that.
_WAY_OUT = "Leave batch normalization: Placement(fold_batch_norm=False)."


def fold_batch_norm(model):
    """Returns a copy of `model` with batch normalization folded away.

        kernel' = kernel * g        per output channel
        bias'   = (bias - mean) * g + beta
        g       = gamma / sqrt(variance + epsilon)

    Batch normalization is folded where it follows a convolution (plain,
    depthwise, separable, transposed) or dense layer without activation whose
    output nothing else uses; elsewhere it stays. A folded one is replaced by a
    `FoldedAway` of the same name, so that the graph keeps its shape.
    Outputs are equal up to rounding (1e-5). `model` is not changed. Classes
    derived from Keras' own, which may compute something else, stay as they
    are, and so does batch normalization that the graph calls with
    `training=True`: it uses the statistics of the batch, always.

    Args:
        model: A built functional or sequential model; nested ones are opened,
            pairs across their border stay as they are.

    Raises:
        TypeError, ValueError: If `model` is unbuilt, subclassed or of the
            other Keras, a kernel is no floating-point variable, or the copy
            computes something else on a random batch.
    """
    compat.check_graph_model(model)
    compat.check_kernels(model)
    pairs = norms_behind(model)
    norms = {id(norm) for norm in pairs.values()}

    def make_layer(path, layer):
        if id(layer) in norms:
            dtype = layer.get_config()["dtype"]
            return FoldedAway(name=layer.name, dtype=dtype), _Weightless()
        if layer not in pairs:
            copy = compat.copy_layer(layer)
            return copy, copy
        copy = compat.copy_layer(layer, {"use_bias": True})
        return copy, _Folded(pairs[layer], copy)

    folded = compat.clone_model(model, make_layer)
    if pairs:
        check_same_outputs(
            model, folded, tolerance=_TOLERANCE, way_out=_WAY_OUT
        )
    return folded


@register_serializable("kure_tf")
class FoldedAway(keras.layers.Layer):
    """Stands where batch normalization was folded away; passes its input on.

    It takes the arguments that batch normalization takes.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs, training=None, mask=None):
        return inputs

    def compute_output_shape(self, input_shape):
        return input_shape


class _Weightless:
    def take_weights(self, layer):
        """Drops the weights of the layer that was folded away."""


class _Folded:
    """Takes over the folded weights in place of the original ones."""

    def __init__(self, norm, copy):
        self._norm, self._copy = norm, copy

    def take_weights(self, layer):
        gain, shift = gain_and_shift(self._norm)
        *others, kernel = compat.kernels_of(layer)
        for other in others:  # The depthwise half of a separable layer.
            value = compat.to_numpy(getattr(layer, other.attribute))
            getattr(self._copy, other.attribute).assign(value)
        value = compat.to_numpy(getattr(layer, kernel.attribute))
        scale = gain.reshape(
            compat.channel_shape(value.shape, kernel.channel_axes)
        )
        getattr(self._copy, kernel.attribute).assign(
            (value * scale).astype(value.dtype)
        )
        bias = (
            compat.to_numpy(layer.bias)
            if layer.use_bias
            else np.zeros_like(shift)
        )
        self._copy.bias.assign((bias * gain + shift).astype(value.dtype))


def gain_and_shift(norm):
    """Returns float64 `(g, c)` of a batch norm: y = g x + c in inference."""
    mean = compat.to_numpy(norm.moving_mean).astype(np.float64)
    variance = compat.to_numpy(norm.moving_variance).astype(np.float64)
    gain = 1.0 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        gain = gain * compat.to_numpy(norm.gamma)
    shift = -mean * gain
    if norm.center:
        shift = shift + compat.to_numpy(norm.beta)
    return gain, shift


def norms_behind(model) -> dict:
    """Returns `{layer: batch norm behind it}` of the pairs that can be folded.

    Args:
        model: As for `fold_batch_norm`, or a fake-quantized model, whose
            hosting layers are then the keys.
    """
    graph = LayerGraph(model)
    found = {}
    for _, layer in compat.layers_of(model):
        inner = layer if hosted_tensors(layer) is None else layer.layer
        norm = graph.only_consumer(layer)
        if (
            compat.is_linear(inner)
            and isinstance(norm, keras.layers.BatchNormalization)
            and compat.is_stock(inner)
            and compat.is_stock(norm)
            and not graph.trains(norm)
            and _is_linear(inner)
            and _same_channels(layer, norm, inner)
        ):
            found[layer] = norm
    return found


def _is_linear(layer):
    return layer.activation is keras.activations.linear and hasattr(
        layer, "use_bias"
    )


def _same_channels(layer, norm, inner):
    axis = norm.axis
    axis = axis[0] if isinstance(axis, (list, tuple)) else axis
    rank = len(compat.output_shape(layer))
    channels_last = getattr(inner, "data_format", "channels_last")
    return channels_last == "channels_last" and axis % rank == rank - 1
