"""Whether two models compute the same."""

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.fake_quantized.restore import keeping

_TOLERANCE = 1e-5  # Relative to the largest output, in float32.
_LOW_PRECISION = 0.03  # Likewise, where layers compute in 16 bits.
_AMPLIFIED, _ALIKE = 10, 0.1  # See `_amplified`.
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
    pairs = _pairs(_outputs(model, batch), _outputs(copy, batch))
    allowed = max(tolerance, _LOW_PRECISION * _in_16_bits(model))
    limits = [allowed * max(1.0, _largest(before)) for before, _ in pairs]
    if not all(_largest(a - b) <= x for (a, b), x in _pairs(pairs, limits)):
        limits = np.maximum(limits, _amplified(model, batch, pairs))
    named = [
        (f"output {index}", *pair, limit)
        for index, (pair, limit) in enumerate(_pairs(pairs, limits))
    ]
    if losses:
        before, after = _total(model), _total(copy)
        limit = allowed * max(1.0, _largest(before))
        named.append(("added losses", before, after, limit))
    for name, before, after, limit in named:
        difference = _largest(before - after)
        if not difference <= limit:
            raise ValueError(
                f"Expected a copy of {model.name!r} that computes the same. "
                f"Its {name} differ by up to {difference:.3g}, where the "
                f"largest value is {_largest(before):.3g}: a layer was not "
                f"carried over faithfully. {way_out}"
            )


def _pairs(some, others):
    return list(zip(some, others, strict=True))


def _largest(values):
    return np.abs(values).max(initial=0.0)


def _outputs(model, batch):
    """Returns what a model answers in inference, as float64 arrays."""
    answers = tf.nest.flatten(model(batch, training=False))
    return [np.asarray(tf.cast(x, tf.float32), np.float64) for x in answers]


def _amplified(model, batch, pairs):
    """Returns how far each output may move for what the last bits make of it.

    Ten times as far as other last bits of the kernels move it, and not more
    than a tenth of its largest value.
    """
    random = np.random.default_rng(0)
    with keeping(model):
        for kernel in _kernels(model):
            noise = 2.0**-23 * random.standard_normal(kernel.shape)
            kernel.assign(compat.to_numpy(kernel) * (1 + noise))
        after = _outputs(model, batch)
    return [
        min(_AMPLIFIED * _largest(before - other), _ALIKE * _largest(before))
        for (before, _), other in _pairs(pairs, after)
    ]


def _kernels(model):
    for _, layer in compat.layers_of(model):
        for kernel in compat.kernels_of(layer):
            variable = kernel.variable_in(layer)
            if "float" in str(variable.dtype):
                yield variable


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
