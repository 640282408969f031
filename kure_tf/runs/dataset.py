"""The data set of a run: found by its name, or made by a user's function."""

import hashlib
import re

import numpy as np
import tensorflow as tf

from kure_tf import data
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
        _check_one_array(part, what)
        return tuple(map(np.asarray, part))
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
    _check_one_array(spec, what)
    pairs = list(part.as_numpy_iterator())
    if not pairs:
        raise ValueError(f"The {what} are empty: expected examples.")
    single = not _is_batched(spec, pairs, what)
    join = np.stack if single else np.concatenate
    inputs, labels = zip(*pairs, strict=True)
    for kind, arrays in (("examples", inputs), ("labels", labels)):
        _check_alike(kind, arrays, single, what)
    return join(inputs), join(labels)


def _check_one_array(pair, what):
    """Raises unless inputs and labels are each one dense array."""
    for kind, one in zip(("input", "labels"), pair, strict=True):
        several = isinstance(one, (tuple, dict))
        sparse = isinstance(one, tf.TypeSpec) and not isinstance(
            one, tf.TensorSpec
        )
        ragged = isinstance(one, (tf.RaggedTensor, tf.SparseTensor))
        if several or sparse or ragged:
            raise ValueError(
                f"Expected one dense array as {kind} of each example in the "
                f"{what}. Received: {_shown(one)}. Several inputs or outputs "
                "are for functions: kure_tf.evaluate_robustness, ptq.calibrate "
                "and export.export_exact take them. Ragged tensors become "
                "dense by .to_tensor()."
            )


def _is_batched(spec, pairs, what):
    """Whether `(input, label)` pairs of that specification are batches.

    Of what has labels for each position the first axes of input and labels are
    alike in single examples as well.
    """
    (x, y), (inputs, labels) = pairs[0], (one.shape for one in spec)
    if np.ndim(y) == 0 or np.ndim(x) == 0:
        return False
    if spec[0].dtype == tf.uint8 and np.ndim(x) in (3, 4):
        return np.ndim(x) == 4  # Images.
    if any(len(x) != len(y) for x, y in pairs):
        return False
    sizes = {shape[0] if shape.rank else None for shape in (inputs, labels)}
    if len(sizes) > 1:
        return False
    of_rows = np.ndim(x) > 1
    if (
        sizes == {None}
        and of_rows
        and _cut_from_one([len(y) for _, y in pairs])
    ):
        return True
    # Nothing else is as likely as batches of images or sequences with classes.
    if np.ndim(y) == 1 and spec[1].dtype.is_integer and np.ndim(x) > 2:
        return True
    raise ValueError(
        f"Expected to tell examples from batches in the {what}. Received "
        f"elements of {spec}, which may be either. Batch examples: "
        ".batch(256); for batches, .unbatch() first."
    )


def _cut_from_one(sizes):
    """Whether batches of these sizes may have been cut from one row."""
    return set(sizes[:-1]) <= {sizes[0]} and sizes[-1] <= sizes[0]


def _check_alike(kind, arrays, single, what):
    shapes = {one.shape if single else one.shape[1:] for one in arrays}
    if len(shapes) > 1:
        raise ValueError(
            f"Expected {kind} of one shape in the {what}. Received "
            f"{[list(shape) for shape in sorted(shapes)[:3]]}. Resize images, "
            "or pad sequences: .padded_batch(32, ([steps], []))."
        )


def _digest(*parts):
    """Returns a hash of the values of arrays in pairs, some of them None."""
    found = hashlib.sha256()
    for part in parts:
        for array in part or ():
            found.update(f"{array.dtype} {array.shape}".encode())
            found.update(np.ascontiguousarray(array))
    return found.hexdigest()[:8]


def _shown(value):
    sized = isinstance(value, (tuple, list, dict))
    length = f" of {len(value)}" if sized else ""
    return f"{type(value).__name__}{length}"
