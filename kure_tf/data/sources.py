"""Where batches come from: splits, arrays, data sets, lists, generators."""

import collections.abc

import numpy as np
import tensorflow as tf

from kure_tf.compat import keras
from kure_tf.data.ports import in_order


def elements_of(source, ports, what, batch_size):
    """Returns an iterable over batches as they came, and how many, or None.

    Args:
        source, what, batch_size: As for `batches_of`.
        ports: Structure of `Port`: what the model takes.

    Raises:
        TypeError, ValueError: As `batches_of` does for its source.
    """
    if callable(getattr(source, "batches", None)):
        source = source.batches(batch_size)
    if _is_inputs(source, ports):
        source = tuple(source)
    if isinstance(source, (dict, tuple, np.ndarray, tf.Tensor)):
        return _windows(source, ports, what, batch_size)
    if isinstance(source, keras.utils.Sequence):
        return _items(source, what)
    if isinstance(source, (str, bytes)) or not hasattr(source, "__iter__"):
        raise TypeError(
            f"Expected {what} as a Split, as arrays x, (x, y) or (x, y, "
            "sample_weight), or as an iterable of such batches: a "
            "tf.data.Dataset, a PyDataset, a list. Received: "
            f"{type(source).__name__}."
        )
    if isinstance(source, tf.data.Dataset):
        endless = tf.data.INFINITE_CARDINALITY
        _check_end(int(source.cardinality()) != endless, what)
    try:
        return source, len(source)
    except TypeError:
        return source, None


def parts_of(element, ports, what) -> tuple:
    """Returns (list of inputs, labels, sample weights) of x, (x, y), ...

    The labels are an array, or arrays in a structure for several outputs; they
    and the weights may be None.
    """
    if not isinstance(element, (tuple, list)):
        element = (element,)
    elif len(tf.nest.flatten(ports)) > 1 and not isinstance(
        element[0], (tuple, list, dict)
    ):
        # Several inputs are a structure of their own: what begins with an
        # array are those inputs, without labels.
        element = (element,)
    if not 1 <= len(element) <= 3:
        raise ValueError(
            f"Expected batches of {what} as x, (x, y) or (x, y, "
            f"sample_weight). Received {len(element)} parts."
        )
    inputs, labels, weights = (*element, None, None)[:3]
    if weights is not None:
        weights = np.asarray(weights, np.float32)
    return in_order(inputs, ports), _as_arrays(labels), weights


def check_repeatable(source, purpose):
    """Raises unless a source can be gone through more than once.

    Args:
        source: What `batches_of` takes.
        purpose: What it has to be gone through again for.

    Raises:
        ValueError: If it is used up after the first time.
    """
    if isinstance(source, collections.abc.Iterator):
        raise ValueError(
            f"Expected batches that can be gone through again, {purpose}. "
            f"Received an iterator ({type(source).__name__}), which is used "
            "up after the first time. Pass a list of batches or a "
            "tf.data.Dataset."
        )


def name_of(source) -> str | None:
    """Returns the name of a split, None for a source without one."""
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else None


def check_count(found, count, what):
    """Raises unless there are as many labels and the like as examples."""
    if found != count:
        raise ValueError(
            f"Expected as many labels, and values of each input, as there are "
            f"examples in a batch of {what}: {count}. Received {found}."
        )


def _is_inputs(source, ports):
    """Whether a list holds arrays, one for each of several inputs."""
    count = len(tf.nest.flatten(ports))
    return (
        isinstance(source, list)
        and count > 1
        and len(source) == count
        and all(isinstance(one, (np.ndarray, tf.Tensor)) for one in source)
    )


def _items(sequence, what):
    # Keras 3 lets a PyDataset say by None that it has no end.
    if hasattr(sequence, "num_batches"):
        count = sequence.num_batches
    else:
        count = len(sequence)
    _check_end(count is not None, what)
    return map(sequence.__getitem__, range(count)), count


def _windows(arrays, ports, what, batch_size):
    """Returns arrays cut into batches, and how many batches those are."""
    parts = list(parts_of(arrays, ports, what))
    lengths = [len(one) for one in tf.nest.flatten(parts) if one is not None]
    for length in lengths:
        check_count(length, lengths[0], what)
    starts = range(0, lengths[0], batch_size)

    def window(start):
        end = start + batch_size
        return tf.nest.map_structure(
            lambda one: None if one is None else one[start:end], parts
        )

    return map(window, starts), len(starts)


def _as_arrays(labels):
    if labels is None:
        return None
    if isinstance(labels, dict):
        return {name: np.asarray(labels[name]) for name in labels}
    if isinstance(labels, (list, tuple)) and all(
        getattr(one, "shape", ()) for one in labels
    ):
        return [np.asarray(one) for one in labels]
    return np.asarray(labels)


def _check_end(has_end, what):
    if not has_end:
        raise ValueError(
            f"Expected {what} to end. Received a data set that repeats for "
            "ever: remove .repeat(), or say how many batches, .take(16)."
        )
