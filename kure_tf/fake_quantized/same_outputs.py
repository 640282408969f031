"""Whether two models compute the same."""

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.fake_quantized.restore import keeping

_TOLERANCE = 1e-5  # Relative to the largest output, in float32.
_LOW_PRECISION = 0.03  # Likewise, where layers compute in 16 bits.
_AMPLIFIED = 10  # Times what last bits alone make of the outputs,
_ALIKE = 0.1  # up to this share of the largest output.
# Of an axis that the model leaves open; enough for Inception.
_UNKNOWN_SIZE = 96
_BATCH = 2


def check_same_outputs(
    model, copy, *, losses=False, tolerance=_TOLERANCE, way_out
):
    """Raises unless `copy` computes what `model` does.

    Both are run on one random batch, in inference. A deep net with random
    weights may make of the last bits of its kernels more than any tolerance:
    its copy may differ by ten times as much, up to a tenth of the largest
    output.

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
    pairs = zip(_outputs(model, batch), _outputs(copy, batch), strict=True)
    named = [(f"output {index}", *pair) for index, pair in enumerate(pairs)]
    if losses:
        named.append(("added losses", _total(model), _total(copy)))
    allowed = max(tolerance, _LOW_PRECISION * _in_16_bits(model))
    for what, before, after in named:
        difference = np.abs(before - after).max(initial=0.0)
        largest = np.abs(before).max(initial=0.0)
        if difference <= allowed * max(1.0, largest):
            continue
        if difference <= min(
            _AMPLIFIED * _of_last_bits(model, batch), _ALIKE * largest
        ):
            continue
        raise ValueError(
            f"Expected a copy of {model.name!r} that computes the same. Its "
            f"{what} differ by up to {difference:.3g}, where the largest value "
            f"is {largest:.3g}: a layer was not carried over faithfully. "
            f"{way_out}"
        )


def _outputs(model, batch):
    """Returns what a model answers in inference, as float64 arrays."""
    answers = tf.nest.flatten(model(batch, training=False))
    return [np.asarray(tf.cast(x, tf.float32), np.float64) for x in answers]


def _of_last_bits(model, batch):
    """Returns by how much outputs move where kernels have other last bits."""
    random = np.random.default_rng(0)
    before = _outputs(model, batch)
    with keeping(model):
        for kernel in model.weights:
            if len(kernel.shape) > 1 and "float" in str(kernel.dtype):
                noise = 2.0**-23 * random.standard_normal(kernel.shape)
                kernel.assign(compat.to_numpy(kernel) * (1 + noise))
        after = _outputs(model, batch)
    moved = (np.abs(a - b) for a, b in zip(before, after, strict=True))
    return max(one.max(initial=0.0) for one in moved)


def _total(model):
    losses = [tf.cast(loss, tf.float32) for loss in model.losses]
    return np.float64(tf.add_n(losses or [0.0]))


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
