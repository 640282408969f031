"""The data set of a run: found by its name, or made by a user's function."""

import hashlib
import re

import numpy as np
import tensorflow as tf

from kure_tf import data
from kure_tf.data.inputs import each_input, structured
from kure_tf.runs.user_function import user_function

# TFDS writes versions behind a colon ("mnist:3.0.1"): no Python name.
_FUNCTION = re.compile(r"[^\W\d][\w.]*:[^\W\d]\w*")
_SPLITS = ("training", "validation", "test")


def load_dataset(name, **options) -> data.Dataset:
    """Returns the data set that a text names.

    Args:
        name: A name that `data.get` knows; or "package.module:function", a
            function without arguments that returns (train, validation, test),
            each of them inputs and labels: a pair of arrays, or a
            `tf.data.Dataset` of pairs, batched or not. Validation may be None.
            Several inputs are a dictionary by the names of the model's inputs,
            or a tuple in their order.
            Labels are integers for classes, one per example or per position
            of it, floating point for targets.
            Images of uint8 are divided by 255; floating point (images, rows,
            sequences) and integers (token ids) are used as they are: see
            `data.Split`. A `data.Dataset` is returned as it is.
        **options: As for `data.get`; for a function, `calibration_count` and
            `calibration_seed`.

    Raises:
        OSError: If a file is missing.
        TypeError, ValueError: As `data.get` and `data.from_arrays`; if there
            is no such function, or it returns something else.
    """
    if name.startswith("folder:") or not _FUNCTION.fullmatch(name):
        return data.get(name, **options)
    if "image_size" in options:
        raise ValueError(
            "Expected --image_size with a folder or a TFDS data set only. "
            f"What {name} returns has its size: resize it there."
        )
    parts = user_function(name)()
    if isinstance(parts, data.Dataset):
        return parts
    if not isinstance(parts, (tuple, list)) or len(parts) != 3:
        raise ValueError(
            f"Expected {name} to return (train, validation, test), or a "
            f"kure_tf.data.Dataset. Received: {_shown(parts)}."
        )
    train, validation, test = (
        None if part is None else _arrays(part, f"{split} data of {name}")
        for split, part in zip(_SPLITS, parts, strict=True)
    )
    if train is None or test is None:
        raise ValueError(
            f"Expected {name} to return examples to train on and to test on. "
            "Received None: only validation may be None."
        )
    return data.from_arrays(
        train,
        test,
        validation=validation,
        name=f"{name} {_digest(train, validation, test)}",
        notes=(
            f"{name}: the hash is of the values of all its inputs and labels.",
        ),
        **options,
    )


def _arrays(part, what):
    """Returns inputs and labels as arrays."""
    if isinstance(part, tf.data.Dataset):
        return _gathered(part, what)
    if isinstance(part, (tuple, list)) and len(part) == 2:
        inputs, labels = part
        if not isinstance(labels, (tuple, dict)):
            inputs = structured(inputs, len(labels))
        _check_arrays((inputs, labels), what)
        return each_input(np.asarray, inputs), np.asarray(labels)
    raise ValueError(
        f"Expected the {what} as (inputs, labels), or as a tf.data.Dataset of "
        f"such pairs. Received: {_shown(part)}."
    )


def _gathered(part, what):
    if int(part.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            f"Expected the {what} to end. Received a tf.data.Dataset that "
            "repeats for ever: remove .repeat()."
        )
    spec = part.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2:
        raise ValueError(
            f"Expected the {what} as a tf.data.Dataset of (input, label). "
            f"Received elements of {spec}."
        )
    _check_arrays(spec, what)
    pairs = list(part.as_numpy_iterator())
    if not pairs:
        raise ValueError(f"The {what} are empty: expected examples.")
    counted = int(part.cardinality()) >= 0
    single = not _is_batched(spec, pairs, what, counted)
    join = np.stack if single else np.concatenate

    def joined(*arrays):
        _check_alike(arrays, single, what)
        return join(arrays)

    return tf.nest.map_structure(joined, *pairs)


def _check_arrays(pair, what):
    """Raises unless each input and the labels are dense arrays."""
    inputs, labels = pair
    inputs = list(inputs.values()) if isinstance(inputs, dict) else inputs
    inputs = inputs if isinstance(inputs, (tuple, list)) else [inputs]
    for number, one in enumerate((*inputs, labels)):
        kind = "input" if number < len(inputs) else "labels"
        several = isinstance(one, (tuple, dict))
        sparse = isinstance(one, tf.TypeSpec) and not isinstance(
            one, tf.TensorSpec
        )
        ragged = isinstance(one, (tf.RaggedTensor, tf.SparseTensor))
        if several or sparse or ragged:
            raise ValueError(
                f"Expected dense arrays as {kind} of each example in the "
                f"{what}. Received: {_shown(one)}. Several outputs are for "
                "functions: kure_tf.evaluate_robustness and ptq.calibrate take "
                "them. Ragged tensors become dense by .to_tensor()."
            )


def _is_batched(spec, pairs, what, counted):
    """Whether `(input, label)` pairs of that specification are batches.

    Of what has labels for each position the first axes of input and labels are
    alike in single examples as well. What a generator yields, which is not
    `counted`, may have an axis of unknown length that is always the same.
    """
    *specs, labels = tf.nest.flatten(spec)
    flat = [tf.nest.flatten(pair) for pair in pairs]
    *inputs, y = flat[0]
    axes = max(map(np.ndim, inputs))
    if any(np.ndim(one) == 0 for one in flat[0]):
        return False
    for one, x in zip(specs, inputs, strict=True):
        if one.dtype == tf.uint8 and np.ndim(x) in (3, 4):  # Images,
            grey = np.ndim(y) == 1 and len(y) == len(x)  # without an axis.
            return np.ndim(x) == 4 or grey
    if any(len(one) != len(pair[-1]) for pair in flat for one in pair):
        return False
    shapes = [one.shape for one in (*specs, labels)]
    sizes = {shape[0] if shape.rank else None for shape in shapes}
    if len(sizes) > 1:
        return False
    if sizes == {None} and axes > 1:
        sizes = [len(pair[-1]) for pair in flat]
        alike = len(sizes) > 1 and len(set(sizes)) == 1
        if _cut_from_one(sizes) and (counted or not alike):
            return True
    # Nothing else is as likely as batches of images or sequences with classes.
    if np.ndim(y) == 1 and labels.dtype.is_integer and axes > 2:
        return True
    raise ValueError(
        f"Expected to tell examples from batches in the {what}. Received "
        f"elements of {spec}, which may be either. Batch examples: "
        ".batch(256); for batches, .unbatch() first."
    )


def _cut_from_one(sizes):
    """Whether batches of these sizes may have been cut from one row."""
    return set(sizes[:-1]) <= {sizes[0]} and sizes[-1] <= sizes[0]


def _check_alike(arrays, single, what):
    shapes = {one.shape if single else one.shape[1:] for one in arrays}
    if len(shapes) > 1:
        raise ValueError(
            "Expected examples and labels of one shape each in the "
            f"{what}. Received "
            f"{[list(shape) for shape in sorted(shapes)[:3]]}. Resize images, "
            "or pad sequences: .padded_batch(32, ([steps], []))."
        )


def _digest(*parts):
    """Returns a hash of the values of inputs and labels, or None, of splits."""
    found = hashlib.sha256()
    for part in parts:
        if part is not None and not isinstance(part[0], np.ndarray):
            found.update(str(each_input(lambda _: "", part[0])).encode())
        for array in tf.nest.flatten(part or ()):
            found.update(f"{array.dtype} {array.shape}".encode())
            found.update(np.ascontiguousarray(array))
    return found.hexdigest()[:8]


def _shown(value):
    sized = isinstance(value, (tuple, list, dict))
    length = f" of {len(value)}" if sized else ""
    return f"{type(value).__name__}{length}"
