"""What attention multiplies inside of a call."""

import contextlib
import functools
import inspect

import numpy as np
import tensorflow as tf

from kure_tf.compat.active import keras
from kure_tf.compat.kernels import kind_of

_INPUTS = ("query", "key", "value")


def attention_products(layer) -> tuple[str, ...]:
    """Returns the names of what attention multiplies inside.

    The projected "query" and "key", whose product the scores are; the
    "probabilities" and the projected "value", whose product is the "context";
    and that, which the output projection takes. Fused attention shows no
    probabilities, a gate changes the context. () for other layers.
    """
    if kind_of(layer) not in ("MultiHeadAttention", "GroupQueryAttention"):
        return ()
    gated = getattr(layer, "_use_gate", getattr(layer, "use_gate", False))
    return (
        *_INPUTS,
        *(("probabilities",) if _shows_probabilities(layer) else ()),
        *(() if gated else ("context",)),
    )


def _shows_probabilities(layer):
    return not getattr(layer, "_flash_attention", False)


@contextlib.contextmanager
def changing_attention(layer, change):
    """While open, attention multiplies `change(name, tensor)`.

    Keras 3 then computes the two products one after the other, as it does
    whenever scores are asked for.
    """
    names, zeroed = attention_products(layer), False
    compute, softmax = layer._compute_attention, layer._masked_softmax
    signature = inspect.signature(compute)

    def changed(name, tensor):
        return change(name, tensor) if name in names else tensor

    def changed_softmax(scores, attention_mask=None):
        probabilities = softmax(scores, attention_mask)
        if attention_mask is not None and not zeroed:
            probabilities = _where_none_is_seen(probabilities)
        return changed("probabilities", probabilities)

    def changed_compute(query, key, value, *args, **kwargs):
        nonlocal zeroed
        tensors = map(changed, _INPUTS, (query, key, value))
        call = signature.bind(*tensors, *args, **kwargs)
        zeroed = len(query.shape) != 4 or _scores_are_asked_for(layer, call)
        zeroed = zeroed or zeroes_the_unseeing(layer)
        if _shows_probabilities(layer):
            _ask_for_scores(layer, call)
        context, scores = compute(*call.args, **call.kwargs)
        return changed("context", context), scores

    # Past Keras' tracking of attributes.
    object.__setattr__(layer, "_compute_attention", changed_compute)
    object.__setattr__(layer, "_masked_softmax", changed_softmax)
    try:
        yield
    finally:
        object.__delattr__(layer, "_compute_attention")
        object.__delattr__(layer, "_masked_softmax")


def zeroes_the_unseeing(layer) -> bool:
    """Whether queries to which a mask shows no key get probabilities of 0.

    Newer versions of Keras 3 do so, but not in the fused operation that they
    take without dropout: there, and in tf_keras, all keys are equally probable.

    Args:
        layer: Attention, of one axis, that is not asked for scores.
    """
    dropout = getattr(layer, "_dropout", getattr(layer, "dropout", 0.0))
    return dropout > 0 and _softmax_zeroes()


@functools.cache
def _softmax_zeroes():
    with tf.init_scope():
        mask = tf.zeros([1, 2], tf.bool)
        return not np.any(keras.layers.Softmax()(tf.zeros([1, 2]), mask))


def _where_none_is_seen(probabilities):
    """Returns equal probabilities in place of those that are all 0."""
    total = tf.reduce_sum(probabilities, -1, keepdims=True)
    equal = 1.0 / tf.cast(tf.shape(probabilities)[-1], probabilities.dtype)
    return tf.where(total > 0.5, probabilities, equal)


def _scores_are_asked_for(layer, call):
    asked = call.arguments.get("return_attention_scores")
    return bool(asked or getattr(layer, "_return_attention_scores", False))


def _ask_for_scores(layer, call):
    """Keeps Keras 3 from the fused operation; tf_keras has none."""
    if "return_attention_scores" in call.signature.parameters:
        call.arguments["return_attention_scores"] = True
    elif hasattr(layer, "_return_attention_scores"):
        layer._return_attention_scores = True  # Each call sets it anew.
