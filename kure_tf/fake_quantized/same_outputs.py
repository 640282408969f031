"""Whether two models compute the same."""

import numpy as np
import tensorflow as tf

from kure_tf import compat

_TOLERANCE = 1e-5  # Relative to the largest output, in float32.
_LOW_PRECISION = 0.03  # Likewise, where layers compute in 16 bits.
_UNKNOWN_SIZE = (
    96  # Of an axis that the model leaves open; enough for Inception.
)
_BATCH = 2


def check_same_outputs(
    model, copy, *, losses=False, tolerance=_TOLERANCE, way_out
):
    """Raises unless `copy` computes what `model` does.

    Both are run on one random batch, in inference.

    Args:
        model: A functional or sequential model of either Keras.
        copy: The model that should be its equal, in either Keras.
        losses: Whether the sum of the losses that are added is compared too.
        tolerance: By how much of the largest output they may differ; 0.03
            where layers compute in 16 bits.
        way_out: What the message tells the user to do.

    Raises:
        ValueError: If they differ by more.
    """
    batch = _random_batch(model)
    pairs = {
        f"output {index}": pair
        for index, pair in enumerate(
            zip(
                tf.nest.flatten(model(batch, training=False)),
                tf.nest.flatten(copy(batch, training=False)),
                strict=True,
            )
        )
    }
    if losses:
        pairs["added losses"] = _total(model), _total(copy)
    for what, pair in pairs.items():
        before, after = (
            np.asarray(tf.cast(x, tf.float32), np.float64) for x in pair
        )
        difference = np.abs(before - after).max(initial=0.0)
        largest = np.abs(before).max(initial=0.0)
        allowed = max(tolerance, _LOW_PRECISION * _in_16_bits(model))
        if not difference <= allowed * max(1.0, largest):
            raise ValueError(
                f"Expected a copy of {model.name!r} that computes the same. "
                f"Its {what} differ by up to {difference:.3g}, where the "
                f"largest value is {largest:.3g}: a layer was not carried over "
                f"faithfully. {way_out}"
            )


def _total(model):
    losses = [tf.cast(loss, tf.float32) for loss in model.losses]
    return tf.add_n(losses or [0.0])


def _in_16_bits(model):
    return any(
        "16" in layer.compute_dtype for _, layer in compat.layers_of(model)
    )


def _random_batch(model):
    random = np.random.default_rng(0)

    def values(tensor):
        batch, *sizes = tensor.shape
        shape = [batch or _BATCH, *(size or _UNKNOWN_SIZE for size in sizes)]
        if tf.as_dtype(tensor.dtype) == tf.string:
            return tf.fill(shape, "")
        if tf.as_dtype(tensor.dtype).is_floating:
            drawn = random.standard_normal(shape)
        else:  # 0 and 1 are indices of any table.
            drawn = random.integers(0, 2, shape)
        return tf.cast(drawn, tensor.dtype)

    return tf.nest.map_structure(values, compat.functional_inputs(model))
