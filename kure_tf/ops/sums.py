"""Sums over a tensor, down to the shape of what broadcasts against it."""

import itertools

import tensorflow as tf

_LARGE = 1 << 23  # Values from which on a product of two tensors is summed
_PARTS = 8  # in so many parts, which takes little memory.
ALL_ROWS = slice(None)


def is_large(x) -> bool:
    """Whether a tensor is known to have so many values that memory counts."""
    size = x.shape.num_elements()
    return size is not None and size >= _LARGE


def in_parts(x, target) -> bool:
    """Whether sums down to the shape of `target` are taken in parts of x.

    A part is some rows of x. That takes the memory of a part, where products
    of large tensors are summed.
    """
    shared = not target.shape.rank or target.shape[0] == 1
    return (
        is_large(x)
        and x.shape[0] >= _PARTS
        and (shared or has_rows_of(x, target))
    )


def has_rows_of(x, target) -> bool:
    """Whether `target` has a row for each row of x."""
    return bool(
        x.shape.rank
        and x.shape.rank == target.shape.rank
        and x.shape[0] == target.shape[0]
    )


def rows_of(x, rows):
    """Returns some rows of x, and x itself for `ALL_ROWS`."""
    return x if rows == ALL_ROWS else x[rows]


def sum_of_products(target, g, x):
    """Returns g * x, summed down to the shape of `target`.

    Args:
        target: Tensor that broadcasts against `g`.
        g: Tensor.
        x: Function from a slice to so many rows of the tensor x, which is of
            the shape of `g`.
    """
    if not in_parts(g, target):
        return _sum_at_once(target, g, x(ALL_ROWS))
    length = g.shape[0]
    borders = [length * part // _PARTS for part in range(_PARTS + 1)]
    for_each = has_rows_of(g, target)
    sums = []
    for rows in itertools.starmap(slice, itertools.pairwise(borders)):
        with tf.control_dependencies(sums[-1:]):  # One after the other.
            part = target[rows] if for_each else target
            found = _sum_at_once(part, g[rows], x(rows))
            if sums and not for_each:
                found += sums.pop()
            sums.append(found)
    return tf.concat(sums, 0) if for_each else sums[0]


def _sum_at_once(target, g, x):
    """Does it by a matrix product where one number is asked for.

    That writes no products down, which takes half the time. Accelerators may
    round its factors (to 10 bits in TF32): too little for sums of which a small
    difference is wanted.
    """
    if target.shape.rank or not _on_processors_only():
        return sum_to(target, g * x)
    g, x = (tf.reshape(tensor, [1, -1]) for tensor in (g, x))
    return tf.reshape(tf.matmul(g, x, transpose_b=True), [])


def _on_processors_only():
    devices = tf.config.list_logical_devices()
    return all(device.device_type == "CPU" for device in devices)


def sum_to(target, x):
    """Returns `x`, summed down to the shape of `target`.

    The axes are constants: XLA takes no others.
    """
    sizes = target.shape.as_list()
    if not sizes:
        return tf.reduce_sum(x)
    lead = x.shape.rank - len(sizes)
    axes = [lead + axis for axis, size in enumerate(sizes) if size == 1]
    summed = tf.reduce_sum(x, [*range(lead), *axes], keepdims=True)
    return tf.reshape(summed, tf.shape(target))
