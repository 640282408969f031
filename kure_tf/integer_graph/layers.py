"""What each Keras layer is in integer operators."""

import tensorflow as tf

from kure_tf.compat import keras
from kure_tf.fake_quantized import gain_and_shift
from kure_tf.integer_graph.activations import activate


def read_layer(call):
    """Adds the steps of one `LayerCall`; returns the value of its output.

    Raises:
        ValueError: If no integer operator computes the layer; it is named.
    """
    read = READERS.get(type(call.inner).__name__)
    if read is None or not _is_keras_own(type(call.inner)):
        call.refuse(
            "no integer operator computes it. Leave the layer out, write it "
            "with other layers, or convert the float model by "
            "to_tflite(model, ..., mode='dynamic_range')."
        )
    if getattr(call.inner, "data_format", None) == "channels_first":
        if "ZeroPadding" not in type(call.inner).__name__:
            call.refuse("LiteRT has channels last. Received channels first.")
    return read(call)


def _is_keras_own(kind):
    # A subclass may compute something else. FoldedAway is ours.
    return kind.__module__.partition(".")[0] in ("keras", "tf_keras", "kure_tf")


def _identity(call):
    return call.add("IDENTITY", call.inputs, lambda x: x)


def _conv(call, kind="CONV_2D", **options):
    layer, one_axis = call.inner, len(call.inner.kernel_size) == 1
    if getattr(layer, "groups", 1) != 1:
        call.refuse("its kernel has groups. Use groups=1, or depthwise.")
    x, compute, padding = call.inputs[0], call.compute, layer.padding
    if padding == "causal":
        missing = (layer.kernel_size[0] - 1) * layer.dilation_rate[0]
        x = _padded(call, x, [(missing, 0), (0, 0)])
        padding = "valid"
        compute = lambda x: call.compute(x[:, missing:])  # noqa: E731
    if one_axis:
        x = call.add("RESHAPE", [x], lambda x: x[:, tf.newaxis])
    y = call.add(
        kind,
        [x],
        _over_rows(compute) if one_axis else compute,
        strides=_pair(layer.strides),
        padding=padding.upper(),
        dilation=_pair(layer.dilation_rate),
        **options,
    )
    if one_axis:
        y = call.add("RESHAPE", [y], lambda x: x[:, 0])
    return activate(call, y, layer.activation)


def _over_rows(compute):
    return lambda x: compute(x[:, 0])[:, tf.newaxis]


def _pair(sizes):
    """Returns two sizes of a window; a single one is along the second axis."""
    return (1, sizes[0]) if len(sizes) == 1 else tuple(sizes)


def _depthwise(call):
    return _conv(call, "DEPTHWISE_CONV_2D")


def _dense(call):
    y = call.add("FULLY_CONNECTED", call.inputs, call.compute)
    return activate(call, y, call.inner.activation)


def _batch_norm(call):
    gain, shift = gain_and_shift(call.inner)
    return call.add("AFFINE", call.inputs, call.compute, gain=gain, shift=shift)


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
        pool = _pair(layer.pool_size)
        if one_axis:
            x = call.add("RESHAPE", [x], lambda x: x[:, tf.newaxis])
        y = call.add(
            # The mean over one pixel is the maximum over it.
            "MAX_POOL_2D" if pool == (1, 1) else kind,
            [x],
            _over_rows(call.compute) if one_axis else call.compute,
            pool=pool,
            strides=_pair(layer.strides),
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
    "Conv1D": _conv,
    "Conv2D": _conv,
    "Dense": _dense,
    "DepthwiseConv1D": _depthwise,
    "DepthwiseConv2D": _depthwise,
    "Dropout": _identity,
    "Flatten": _reshape,
    "FoldedAway": _identity,
    "GaussianDropout": _identity,
    "GaussianNoise": _identity,
    "GlobalAveragePooling1D": _global_pool("MEAN", tf.reduce_mean),
    "GlobalAveragePooling2D": _global_pool("MEAN", tf.reduce_mean),
    "GlobalMaxPooling1D": _global_pool("REDUCE_MAX", tf.reduce_max),
    "GlobalMaxPooling2D": _global_pool("REDUCE_MAX", tf.reduce_max),
    "MaxPooling1D": _pool("MAX_POOL_2D"),
    "MaxPooling2D": _pool("MAX_POOL_2D"),
    "Multiply": _two_by_two("MUL", tf.multiply),
    "ReLU": _relu,
    "Reshape": _reshape,
    "Softmax": _softmax,
    "SpatialDropout1D": _identity,
    "SpatialDropout2D": _identity,
    "Subtract": _two_by_two("SUB", tf.subtract),
    "SyncBatchNormalization": _batch_norm,
    "ZeroPadding1D": _zero_padding,
    "ZeroPadding2D": _zero_padding,
}
"""`{class of a Keras layer: function that reads it}`."""
