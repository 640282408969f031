"""What goes into a model: which inputs are images, and how they are scaled."""

import numpy as np
import tensorflow as tf

from kure_tf.data.held import check_held

_FORMATS = (
    "images [count, height, width, channels] of uint8 or floating point, token "
    "ids [count, steps] of integers, or rows and sequences of floating point"
)


def is_image(dtype, shape) -> bool:
    """Whether an example is an image: three axes, uint8 or floating point.

    Args:
        dtype: Of its values.
        shape: Its shape, without the axis of the examples.
    """
    dtype = np.dtype(dtype)
    return len(shape) == 3 and (
        dtype == np.uint8 or np.issubdtype(dtype, np.floating)
    )


def white_of(inputs) -> float:
    """Returns the raw value that becomes 1: 255 for images of uint8, else 1."""
    image = is_image(inputs.dtype, inputs.shape[1:])
    return 255.0 if image and inputs.dtype == np.uint8 else 1.0


def checked_inputs(split, inputs) -> np.ndarray:
    """Returns inputs as an array that batches can be cut from.

    Args:
        split: Name of the split, for errors.
        inputs: Array `[count, ...]`.

    Raises:
        ValueError: If they are none, or of no kind that is known.
    """
    inputs = np.asarray(inputs)
    if not inputs.ndim or 0 in inputs.shape[1:]:
        raise ValueError(
            "Expected inputs of shape [count, ...]. Split "
            f"{split!r} has the shape {list(inputs.shape)}."
        )
    if not len(inputs):
        raise ValueError(f"Split {split!r} is empty. Expected examples.")
    # tf.io.decode_raw reads bytes in this machine's order.
    inputs = inputs.astype(inputs.dtype.newbyteorder("="), copy=False)
    if np.issubdtype(inputs.dtype, np.floating):
        _check_finite(split, inputs)
        return inputs
    if not np.issubdtype(inputs.dtype, np.integer):
        raise ValueError(
            f"Expected {_FORMATS}. Split {split!r} holds {inputs.dtype}."
        )
    _check_integers(split, inputs)
    # tf.io.decode_raw does not know the wide unsigned ones.
    if inputs.dtype not in (np.uint32, np.uint64):
        return inputs
    check_held(inputs, tf.int64, f"whole numbers in the split {split!r}")
    return inputs.astype(np.int64)


def structured(inputs, count):
    """Returns inputs, a tuple in place of a list of several.

    A list is several inputs, as Keras has it, where it holds arrays of as many
    examples as there are, but not one array for each example.

    Args:
        inputs: What a user gave.
        count: How many examples there are.
    """
    several = (
        isinstance(inputs, list)
        and len(inputs) != count
        and all(isinstance(one, (np.ndarray, tf.Tensor)) for one in inputs)
        and {np.shape(one)[:1] for one in inputs} == {(count,)}
    )
    return tuple(inputs) if several else inputs


def checked_parts(split, inputs):
    """Returns one or several inputs, each as `checked_inputs` has it.

    Args:
        split: Name of the split, for errors.
        inputs: Array `[count, ...]`; or several, in a dictionary by the names
            of a model's inputs or a tuple in their order.

    Raises:
        ValueError: As `checked_inputs`, or if they are not as many each.
    """
    if not isinstance(inputs, (dict, tuple)):
        return checked_inputs(split, inputs)
    if isinstance(inputs, dict):
        if not all(isinstance(name, str) for name in inputs):
            raise ValueError(
                "Expected the names of a model's inputs, which are strings. "
                f"Split {split!r} has inputs called {list(inputs)}."
            )
        parts = {
            name: checked_inputs(f"{split}, input {name}", inputs[name])
            for name in inputs
        }
    else:
        parts = tuple(
            checked_inputs(f"{split}, input {number}", one)
            for number, one in enumerate(inputs)
        )
    counts = [len(one) for one in tf.nest.flatten(parts)]
    if len(set(counts)) != 1:
        raise ValueError(
            "Expected several inputs with as many examples each. Split "
            f"{split!r} has {counts or 'none'}."
        )
    return parts


def each_input(function, inputs):
    """Returns `function` of one input, or of each in its structure.

    As `tf.nest.map_structure` does, but for results that are tuples.
    """
    if isinstance(inputs, dict):
        return {name: function(inputs[name]) for name in inputs}
    if isinstance(inputs, tuple):
        return tuple(map(function, inputs))
    return function(inputs)


def described(inputs) -> str:
    """Returns dtype and shape of an example's inputs, for errors."""
    return str(each_input(_described, inputs)).replace("'", "")


def _described(one):
    return f"{one.dtype} {list(one.shape[1:])}"


def check_normalization(split, inputs, white, mean, std):
    """Raises a ValueError where integers that stay such are to be scaled."""
    scaled = white not in (None, 1) or mean is not None or std is not None
    if scaled and not is_scaled(inputs):
        raise ValueError(
            "Expected white, mean and std with images or floating point: "
            "other integers stay what they are. Split "
            f"{split!r} holds {inputs.dtype} of shape {list(inputs.shape)}. "
            "Received: "
            f"white={white}, mean={mean}, std={std}."
        )


def is_scaled(inputs) -> bool:
    """Whether batches hold inputs `[count, ...]` as float32, scaled."""
    floating = np.issubdtype(inputs.dtype, np.floating)
    return floating or is_image(inputs.dtype, inputs.shape[1:])


def normalize(inputs, shape, *, white=1.0, mean=None, std=None):
    """Returns float32 `(inputs / white - mean) / std`, by the last axis.

    Args:
        inputs: Tensor of one example or a batch.
        shape: Shape of one example, `[..., channels]`.
        white: The raw value that becomes 1.
        mean: One number per channel, or None for 0.
        std: One number per channel, or None for 1.
    """
    mean = np.zeros(shape) + (0.0 if mean is None else mean)
    std = np.ones(shape) * (1.0 if std is None else std)
    # One multiplication and one addition by constants as large as an image:
    # three times as fast as broadcasting over a short last axis.
    factor = tf.constant(1 / (white * std), tf.float32)
    return tf.cast(inputs, tf.float32) * factor + tf.constant(
        -mean / std, tf.float32
    )


def _check_integers(split, inputs):
    """Raises where integers are likely to be images of another layout."""
    shape = list(inputs.shape)
    if inputs.ndim == 3 and inputs.dtype == np.uint8:
        raise ValueError(
            "Expected images of shape [count, height, width, channels]. Split "
            f"{split!r} has uint8 values of the shape {shape}. Add a last axis "
            "to grey images: images[..., np.newaxis]. Give what is no image "
            "another dtype: astype(np.int32) for ids, np.float32 for numbers."
        )
    if inputs.ndim == 4 and inputs.dtype != np.uint8:
        raise ValueError(
            "Expected images as uint8 or floating point. Split "
            f"{split!r} holds {inputs.dtype} values of the shape {shape}. "
            "Images of 0 .. 255 become uint8 by astype(np.uint8)."
        )


def _check_finite(split, inputs):
    with np.errstate(over="ignore"):
        narrow = inputs.astype(np.float32, copy=False)
    if not np.isfinite(narrow).all():
        raise ValueError(
            "Expected inputs of finite numbers that float32 holds. Split "
            f"{split!r} holds NaN, infinity or a number beyond 3.4e38."
        )
