"""Data and models of a user's own, as `package.module:function` names them."""

import numpy as np
import tensorflow as tf

from kure_tf import evaluation
from kure_tf.compat import keras

_COUNTS = ((0, 90), (1, 30), (2, 60))  # Seed and examples of each split.


def _rows(seed, count):
    labels = np.arange(count) % 3
    noise = np.random.default_rng(seed).normal(size=(count, 6))
    return noise + labels[:, np.newaxis], labels


def _ids(seed, count):
    labels = np.arange(count) % 3
    ids = np.random.default_rng(seed).integers(0, 8, (count, 5))
    return ids + 6 * labels[:, np.newaxis], labels


def rows():
    """Returns rows of six numbers, of three classes."""
    return tuple(_rows(seed, count) for seed, count in _COUNTS)


def ids():
    """Returns sequences of five words out of twenty, of three classes."""
    return tuple(
        tf.data.Dataset.from_tensor_slices(_ids(seed, count))
        for seed, count in _COUNTS
    )


def tags():
    """Returns sequences of five words, with one of three classes for each."""
    parts = [
        np.random.default_rng(seed).integers(0, 20, (count, 5))
        for seed, count in _COUNTS
    ]
    return tuple((ids, ids % 3) for ids in parts)


def masks():
    """Returns images in batches, with one of two classes for each pixel."""

    def part(seed, count):
        images = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 2))
        brighter = images[..., :1] > images[..., 1:]
        images = images.astype(np.uint8), brighter.astype(np.uint8)
        return tf.data.Dataset.from_tensor_slices(images).batch(16)

    return tuple(part(seed, count) for seed, count in _COUNTS)


def _pair(seed, count):
    rows, labels = _rows(seed, count)
    ids, _ = _ids(seed, count)
    return rows, ids, labels


def by_name():
    """Returns rows and sequences of words, by the names of inputs."""
    parts = (_pair(seed, count) for seed, count in _COUNTS)
    return tuple(
        tf.data.Dataset.from_tensor_slices(({"x": x, "ids": ids}, y)).batch(16)
        for x, ids, y in parts
    )


def in_order():
    """Returns rows and sequences of words, in the order of inputs."""
    parts = (_pair(seed, count) for seed, count in _COUNTS)
    return tuple(((x, ids), y) for x, ids, y in parts)


def targets():
    """Returns rows of six numbers, and two sums of them."""
    parts = (_rows(seed, count)[0] for seed, count in _COUNTS)
    return tuple(
        (x, x[:, :4] @ [[1, 0], [0, 1], [1, -1], [0, 1]]) for x in parts
    )


@evaluation.metric("largest_error", higher_is_better=False)
def largest_error(y, outputs):
    """Returns the largest error of the values of an example."""
    return np.abs(y - outputs).max(-1)


@evaluation.metric("right", higher_is_better=True)
def right(y, outputs):
    """Returns the share of an example's labels that are answered."""
    found = np.argmax(outputs, -1) == y
    return found.reshape(len(found), -1).mean(-1)


def dense(num_classes, input_shape):
    """Returns a net for rows."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Dense(8, activation="relu", name="a"),
            layers.Dense(8, activation="relu", name="b"),
            layers.Dense(num_classes, name="c"),
        ],
        name="dense",
    )


def linear(num_classes, input_shape):
    """Returns a net for targets, compiled with a loss."""
    del num_classes  # There are none.
    model = dense(2, input_shape)
    model.compile("sgd", "mean_absolute_error")
    return model


def words(num_classes, input_shape):
    """Returns a net for ids."""
    flatten = keras.layers.Flatten()
    return _of_ids(num_classes, input_shape, flatten, name="words")


def tagger(num_classes, input_shape):
    """Returns a net for tags."""
    return _of_ids(num_classes, input_shape, name="tagger")


def _of_ids(num_classes, input_shape, *between, name):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(input_shape, dtype="int32"),
            layers.Embedding(20, 6, name="a"),
            *between,
            layers.Dense(8, activation="relu", name="b"),
            layers.Dense(num_classes, name="c"),
        ],
        name=name,
    )


def pixels(num_classes, input_shape):
    """Returns a net for masks."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Conv2D(8, 1, activation="relu", name="a"),
            layers.Conv2D(8, 3, padding="same", activation="relu", name="b"),
            layers.Conv2D(num_classes, 1, name="c"),
        ],
        name="pixels",
    )


def both(num_classes, input_shape):
    """Returns a net for rows and words, whose names are not in their order."""
    if isinstance(input_shape, dict):
        input_shape = input_shape["x"], input_shape["ids"]
    layers = keras.layers
    x = keras.Input(input_shape[0], name="x")
    ids = keras.Input(input_shape[1], dtype="int32", name="ids")
    words = layers.Flatten()(layers.Embedding(20, 4, name="e")(ids))
    first = layers.Dense(16, activation="relu", name="a")(x)
    joined = layers.Concatenate(name="j")([first, words])
    hidden = layers.Dense(16, activation="relu", name="b")(joined)
    outputs = layers.Dense(num_classes, name="c")(hidden)
    return keras.Model([x, ids], outputs, name="both")
