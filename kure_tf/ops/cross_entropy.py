"""Cross-entropy of a classifier's outputs, and labels that fit them."""

import numpy as np
import tensorflow as tf

_TINY = np.finfo(np.float32).tiny  # The logarithm of 0 would make NaN.


def cross_entropy(outputs, labels, *, from_logits=True):
    """Returns the cross-entropy at each place, float32 `[examples, ...]`.

        -log softmax(outputs)[label]    logits
        -log outputs[label]             probabilities

    Args:
        outputs: Floating-point tensor `[examples, ..., classes]`.
        labels: Integer tensor `[examples, ...]`.
        from_logits: Whether `outputs` are logits; False for probabilities.
    """
    outputs = tf.cast(outputs, tf.float32)
    if not from_logits:
        outputs = _log(outputs)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, outputs)


def soft_cross_entropy(probabilities, targets):
    """Returns -sum_c t_c log p_c over the last axis, float32.

    Args:
        probabilities: Floating-point tensor `[..., classes]`, 0..1.
        targets: Tensor of the same shape, whose last axis sums to 1.
    """
    p = tf.cast(probabilities, tf.float32)
    return -tf.reduce_sum(tf.cast(targets, tf.float32) * _log(p), -1)


def binary_cross_entropy(probabilities, targets):
    """Returns the cross-entropy of each value, float32.

        -t log p - (1 - t) log(1 - p)

    Args:
        probabilities: Floating-point tensor in 0..1.
        targets: Tensor of the same shape in 0..1.
    """
    p = tf.cast(probabilities, tf.float32)
    t = tf.cast(targets, tf.float32)
    return -t * _log(p) - (1.0 - t) * _log(1.0 - p)


def _log(x):
    return tf.math.log(tf.maximum(x, _TINY))


def checked_labels(labels, shape):
    """Returns class numbers as an int64 array `[examples, ...]`.

    Args:
        labels: Whole numbers, one for each place; `[examples, ..., 1]` is
            taken for `[examples, ...]`.
        shape: Shape of the outputs, `[examples, ..., classes]`. None is a size
            that is not known.

    Raises:
        ValueError: If the shape is another, or a label lies outside the
            classes.
    """
    labels = np.asarray(labels)
    if labels.ndim == len(shape) and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if labels.ndim != len(shape) - 1 or any(
        size not in (None, found)
        for size, found in zip(shape[1:-1], labels.shape[1:], strict=True)
    ):
        raise ValueError(
            "Expected one label per example, a class number for each place of "
            f"outputs of shape {['examples', *shape[1:]]}. Received labels of "
            f"shape {list(labels.shape)}. One-hot labels become numbers by "
            "np.argmax(labels, -1)."
        )
    _check_classes(labels, shape[-1])
    return labels.astype(np.int64)


def _check_classes(labels, classes):
    if not labels.size:
        return
    low, high = labels.min(), labels.max()
    if not 0 <= low <= high < (classes or np.inf):
        raise ValueError(
            f"Expected labels in 0..{classes - 1}, the model's classes. "
            f"Received labels from {low} to {high}. Check that model and data "
            "set belong together."
        )
    if not (labels == np.floor(labels)).all():
        raise ValueError(
            f"Expected class numbers as labels. Received {labels.dtype} values "
            "that are not whole."
        )
