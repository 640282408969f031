"""Several steps on large tensors as one."""

import functools

import tensorflow as tf

LARGE = 2**18
"""From so many elements on, compiling is worth its tenths of a second."""


def fused(function):
    """Returns a function of tensors, compiled by XLA where the first is large.

    Each step on its own would read and write all of a tensor.

    Args:
        function: Function of a tensor and arrays, not of Python's numbers.
    """
    compiled = tf.function(function, jit_compile=True, autograph=False)

    @functools.wraps(function)
    def call(x, *arrays):
        large = tf.size(x) >= LARGE
        return (compiled if large else function)(x, *arrays)

    return call
