"""Functions of two int8 codes, as tables of all 65,536 pairs."""

import numpy as np
import tensorflow as tf

TABLES = 64
"""How many tables a cache keeps, each of a quarter of a megabyte."""


def pair_table(function, x) -> np.ndarray:
    """Returns what a function makes of all pairs of codes.

    Args:
        function: Function of a pair of int64 arrays of levels, which broadcast.
        x: The `Quantization` of each of the two.

    Returns:
        float32 `[256, 256]`.
    """
    a, b = (np.arange(-128, 128) - one.zero_point for one in x)
    return np.asarray(function((a[:, np.newaxis], b)), np.float32)


def look_up(table, levels, x) -> tf.Tensor:
    """Returns the entries for two tensors of levels, element by element.

    That is quicker than the function itself, in 64 bits, for each element.

    Args:
        table: What `pair_table` returned.
        levels: Two tensors of levels, float32, which broadcast.
        x: The `Quantization` of each of the two.
    """
    first, second = (-128 - one.zero_point for one in x)
    place = (levels[0] - first) * 256 + (levels[1] - second)
    # NumPy looks up in a third of the time that TensorFlow takes.
    place = tf.cast(place, tf.uint16).numpy()
    return tf.constant(np.take(table, place, mode="clip"))
