"""Layers that pool, pad, cut, turn, enlarge or reshape."""

import numpy as np
import tensorflow as tf

from kure_tf.integer_graph.graph import Quantization
from kure_tf.integer_graph.linear_layers import over_rows, pair
from kure_tf.integer_graph.masks import mask_of, reshaped
from kure_tf.integer_graph.matrix_products import matrix_product


def zero_padding(call):
    """Adds zeros around."""
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


def pool(kind):
    """Returns the reader of a pooling layer, of that operator."""

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


def global_pool(kind, compute):
    """Returns the reader of a pooling over all pixels.

    Args:
        kind: The operator.
        compute: Function of a tensor and of axes.
    """

    def read(call):
        axes = (1, 2) if "2D" in type(call.inner).__name__ else (1,)
        mask = mask_of(call) if kind == "MEAN" else None
        if mask is None:
            x = call.inputs[:1]
            y = call.add(kind, x, lambda x: compute(x, axes), axes=axes)
        else:
            y = _mean_of_seen(call, call.inputs[0], mask)
        if not call.inner.keepdims:
            return y
        # MEAN that keeps its axes rounds in another way.
        return call.add("RESHAPE", [y], _unsqueezed(len(axes)))

    return read


def _mean_of_seen(call, x, mask):
    """Adds the mean over those places that count, so many of all.

        share = mean(mask)
        y = (mask / sqrt(share)) x / (places sqrt(share))

    Each factor is as large for few places as for many, within a root.
    """
    places = call.tensors[0].shape[1]
    if places is None:
        call.refuse("the number of its places is open. Give keras.Input one.")
    # A place more is a code more, if there are not too many.
    grid = Quantization(float(np.float32(max(1 / places, 1 / 255))), -128)
    share = call.add(
        "MEAN",
        [reshaped(call, mask, [-1, 1])],
        lambda x: tf.reduce_mean(x, 1),
        axes=(1,),
        quantization=grid,
    )
    root = call.add("RSQRT", [share], _root)
    weights = call.add("MUL", [mask, root], tf.multiply)
    y = matrix_product(call, reshaped(call, weights, [1, -1]), x)
    y = call.add("RESHAPE", [y], lambda y: y[:, 0])
    return call.add("MUL", [y, call.affine(root, 1 / places)], tf.multiply)


def _root(share):
    """Returns its inverse square root; where nothing counts, 0."""
    return tf.where(share > 0, tf.math.rsqrt(share), 0.0)


def _unsqueezed(count):
    return lambda x: tf.reshape(x, [-1, *[1] * count, x.shape[-1]])


def cropping(call):
    """Adds a cut at the borders."""
    crops = call.inner.cropping
    crops = [crops] if isinstance(crops[0], int) else crops
    begin = (0, *(first for first, _ in crops), 0)
    return call.add("SLICE", call.inputs, call.compute, begin=begin)


def permute(call):
    """Adds a transposition."""
    axes = (0, *call.inner.dims)
    return call.add("TRANSPOSE", call.inputs, call.compute, axes=axes)


def up_sampling(call):
    """Adds an enlarging of pictures."""
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


def up_sampling_on_one_axis(call):
    """Adds an enlarging of rows of one axis."""
    times = int(call.inner.size)
    x = call.add("RESHAPE", call.inputs, lambda x: x[:, tf.newaxis])
    y = call.add(
        "RESIZE_NEAREST_NEIGHBOR",
        [x],
        over_rows(call.compute),
        factors=(1, times),
    )
    return call.add("RESHAPE", [y], lambda x: x[:, 0])


def reshape(call):
    """Adds another shape."""
    return call.add("RESHAPE", call.inputs, call.compute)
