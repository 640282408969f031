"""Cross-entropy of a classifier's outputs, and labels that fit them."""

import numpy as np
import tensorflow as tf

_TINY = np.finfo(np.float32).tiny  # The logarithm of 0 would make NaN.


def cross_entropy(outputs, labels, *, from_logits=True):
    """Returns the cross-entropy of each image, float32 `[images]`.

        -log softmax(outputs)[label]    logits
        -log outputs[label]             probabilities

    Args:
        outputs: Floating-point tensor `[images, classes]`.
        labels: Integer tensor `[images]`.
        from_logits: Whether `outputs` are logits; False for probabilities.
    """
    outputs = tf.cast(outputs, tf.float32)
    if not from_logits:
        outputs = tf.math.log(tf.maximum(outputs, _TINY))
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, outputs)


def checked_labels(labels, classes):
    """Returns the labels as an int64 array `[images]`.

    Args:
        labels: Integers of shape `[images]`.
        classes: How many classes there are.

    Raises:
        ValueError: If the shape is another, or a label lies outside the
            classes.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ValueError(
            "Expected one label per image: class numbers of shape [images]. "
            f"Received labels of shape {list(labels.shape)}. One-hot labels "
            "become numbers by np.argmax(labels, -1)."
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"Expected labels in 0..{classes - 1}, the model's classes. "
            f"Received labels from {labels.min()} to {labels.max()}. Check "
            "that model and data set belong together."
        )
    return labels.astype(np.int64)
