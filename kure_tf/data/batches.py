"""The one reader of what users hand over: examples, labels and weights."""

import dataclasses

import numpy as np
import tensorflow as tf

from kure_tf.data.held import check_held
from kure_tf.data.ports import input_ports
from kure_tf.data.sources import check_count, elements_of, parts_of
from kure_tf.progress import ProgressBar


@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """Some examples.

    Attributes:
        inputs: Tensors `[count, ...]`, in the structure and of the dtypes that
            the model takes.
        labels: Array `[count, ...]`, or a list or dictionary of them for a
            model of several outputs; None where there are none.
        sample_weight: Float32 array `[count]`, or None.
        count: How many there are.
    """

    inputs: object
    labels: object
    sample_weight: np.ndarray | None
    count: int

    def weights(self) -> np.ndarray:
        """Returns the sample weights, 1 where there are none."""
        if self.sample_weight is None:
            return np.ones(self.count, np.float32)
        return self.sample_weight


def batches_of(
    source,
    model,
    what="examples",
    *,
    batch_size=256,
    finite=False,
    progress=False,
):
    """Yields the `Batch`es of a source; empty ones are left out.

    A batch is `x`, `(x, y)` or `(x, y, sample_weight)`, where x are the inputs:
    one array, or several as a tuple, a list or a dictionary by their names.
    They are cast to the dtypes that the model's inputs declare, as the model
    would: integers stay integers where it takes integers.

    Args:
        source: A `Split`, or anything else with `batches(batch_size)`; arrays:
            one, a dictionary or list of inputs, or the tuples above; a
            `tf.data.Dataset`; a Keras `PyDataset` (`Sequence`); a list or
            generator of batches.
        model: What they are for: a built functional or sequential model, or a
            `Runner`.
        what: What errors and the progress bar call them.
        batch_size: Examples per batch of arrays and of a `Split`. Other
            sources keep their own.
        finite: Whether NaN and infinity are refused.
        progress: Whether to show a progress bar.

    Raises:
        TypeError: If `source` is none of these.
        ValueError: If it is empty or has no end, the model does not take what
            is in it, or labels or weights are not one per example.
    """
    ports = input_ports(model)
    elements, count = elements_of(source, ports, what, batch_size)
    bar = ProgressBar(elements, what, count, progress=progress)
    found = False
    for element in bar:
        batch = _batch(element, ports, what)
        if finite:
            _check_finite(batch, what)
        if batch.count:
            found = True
            yield batch
    if not found:
        raise ValueError(
            f"Expected at least one batch of {what}. Received none. Take some "
            "hundred training images: dataset.calibration.batches(128). A "
            "generator that was read before is empty too."
        )


def check_weights(weights):
    """Raises unless one of all sample weights is above 0."""
    if not np.any(weights):
        raise ValueError(
            "Expected a sample weight above 0, since a mean is weighted by "
            "them. Received zeros only."
        )


def _batch(element, ports, what):
    inputs, labels, weights = parts_of(element, ports, what)
    tensors = [
        _as_tensor(value, port, what)
        for value, port in zip(inputs, tf.nest.flatten(ports), strict=True)
    ]
    count = tensors[0].shape[0]
    for one in (*tensors, *tf.nest.flatten(labels)):
        if one is not None:
            check_count(one.shape[0] if one.shape else None, count, what)
    if weights is not None:
        weights = _checked_weights(weights, count, what)
    inputs = tf.nest.pack_sequence_as(ports, tensors)
    return Batch(inputs, labels, weights, count)


def _as_tensor(value, port, what):
    """Returns an input as the model would have it."""
    if isinstance(value, (tf.RaggedTensor, tf.SparseTensor)):
        raise ValueError(
            f"Expected dense tensors in {what}. Received a "
            f"{type(value).__name__}: convert it, .to_tensor() or "
            "tf.sparse.to_dense."
        )
    tensor = tf.convert_to_tensor(value)
    given, wanted = tuple(tensor.shape), port.shape
    if len(given) != len(wanted) or any(
        size not in (None, got)
        for size, got in zip(wanted[1:], given[1:], strict=True)
    ):
        raise ValueError(
            f"Expected {what} in batches of shape {['batch', *wanted[1:]]}, "
            f"the model's input {port.name!r}. Received: {list(given)}."
        )
    dtype = tf.as_dtype(port.dtype)
    if tensor.dtype == tf.string != dtype:
        raise ValueError(
            f"Expected numbers in {what}: the model's input {port.name!r} is "
            f"of dtype {port.dtype}. Received text."
        )
    if dtype.is_integer and tensor.dtype != dtype:
        if tensor.dtype.is_floating:
            _check_whole(tensor, port, what)
        check_held(tensor, dtype, f"{what} for the input {port.name!r}")
    return tensor if tensor.dtype == dtype else tf.cast(tensor, dtype)


def _check_whole(tensor, port, what):
    if not bool(tf.reduce_all(tensor == tf.round(tensor))):
        raise ValueError(
            f"Expected integers in {what}: the model's input {port.name!r} is "
            f"of dtype {port.dtype}. Received {tensor.dtype.name} values that "
            "are none, which it would cut off."
        )


def _checked_weights(weights, count, what):
    if weights.shape not in ((count,), (count, 1)):
        raise ValueError(
            f"Expected one sample weight per example of {what}, of shape "
            f"[{count}]. Received the shape {list(weights.shape)}."
        )
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError(
            f"Expected sample weights of {what} that are finite and not "
            f"negative. Received {weights.min()} .. {weights.max()}."
        )
    return weights.reshape(-1)


def _check_finite(batch, what):
    for one in tf.nest.flatten(batch.inputs):
        if one.dtype.is_floating:
            bad = int(tf.size(one)) - np.isfinite(one).sum()
            if bad:
                raise ValueError(
                    f"Expected finite values. A batch of {what} holds {bad} "
                    f"NaN or infinite values of {int(tf.size(one))}."
                )
