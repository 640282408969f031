"""Reads images out of whatever a caller has them in."""

import numpy as np
import tensorflow as tf


def image_batches(source, shape, batch_size, name):
    """Yields `(images, labels or None)` as NumPy arrays.

    Args:
        source: A `Split`, or anything else with `batches(batch_size)`; an
            iterable, such as a `tf.data.Dataset`, of batches of images or of
            `(images, labels)`; or one array of images.
        shape: The shape that one image must have.
        batch_size: Given to `source.batches`; other sources keep their own.
        name: What an error calls the source.

    Yields:
        float32 images `[batch, *shape]`, and the labels as they came.

    Raises:
        TypeError: If `source` is none of these.
        ValueError: If the images have another shape, or hold NaN or infinity,
            or if there is no end to them.
    """
    if hasattr(source, "batches"):
        source = source.batches(batch_size)
    elif isinstance(source, (np.ndarray, tf.Tensor)):
        source = [source]
    if isinstance(source, (str, bytes, dict)) or not hasattr(
        source, "__iter__"
    ):
        raise TypeError(
            f"Expected {name} as a Split, or as an iterable of batches of "
            "images or of (images, labels), such as a tf.data.Dataset. "
            f"Received: {type(source).__name__}."
        )
    if _is_endless(source):
        raise ValueError(
            f"Expected {name} to end. Received a data set that repeats for "
            "ever: remove .repeat(), or say how many batches, .take(16)."
        )
    for batch in source:
        images, labels = _images_and_labels(batch, name)
        images = np.asarray(images, np.float32)
        _check(images, tuple(shape), name)
        yield images, labels


def count_batches(source, batch_size):
    """Returns how many batches `image_batches` yields, None if unknown."""
    if hasattr(source, "batches") and hasattr(source, "count"):
        return -(-source.count // batch_size)
    try:
        return len(source)
    except TypeError:
        return None


def _is_endless(source):
    return (
        isinstance(source, tf.data.Dataset)
        and int(source.cardinality()) == tf.data.INFINITE_CARDINALITY
    )


def name_of(source) -> str | None:
    """Returns the name of a split, None for a source without one."""
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else None


def _images_and_labels(batch, name):
    if isinstance(batch, dict):
        raise TypeError(
            f"Expected the batches of {name} as images or (images, labels). "
            f"Received a dictionary of {sorted(batch)}. Map it first: "
            "dataset.map(lambda d: (d['image'], d['label']))."
        )
    if not isinstance(batch, (tuple, list)):
        return batch, None
    images = batch[0]
    labels = np.asarray(batch[1]) if len(batch) > 1 else None
    return images, labels


def _check(images, shape, name):
    if images.shape[1:] != shape or images.ndim != len(shape) + 1:
        raise ValueError(
            f"Expected the batches of {name} to have the shape "
            f"{['batch', *shape]}, as the model's input has. Received: "
            f"{list(images.shape)}."
        )
    bad = images.size - np.isfinite(images).sum()
    if bad:
        raise ValueError(
            f"Expected finite images. A batch of {name} holds {bad} NaN or "
            f"infinite values of {images.size}."
        )
