"""Products of two values in integer operators."""

import tensorflow as tf

from kure_tf.integer_graph.steps import Value


def matrix_product(call, a, b, *, transposed=False) -> Value:
    """Adds the product of two matrices for each example and head.

    Args:
        call: The `LayerCall` that gets it.
        a, b: Values `[..., rows, depth]` and `[..., depth, columns]`.
        transposed: Whether b is `[..., columns, depth]` instead.
    """
    return call.add(
        "BATCH_MATMUL",
        [a, b],
        lambda a, b: tf.matmul(a, b, transpose_b=transposed),
        transposed=transposed,
    )


def turned(call, x, axes) -> Value:
    """Adds a transposition."""
    return call.add(
        "TRANSPOSE", [x], lambda x: tf.transpose(x, axes), axes=axes
    )


def dot(call):
    """Adds a Dot of vectors or matrices, along one axis of each."""
    layer, ranks = call.inner, [len(x.shape) for x in call.tensors]
    axes = [layer.axes] * 2 if isinstance(layer.axes, int) else layer.axes
    axes = [axis % rank for axis, rank in zip(axes, ranks, strict=True)]
    if layer.normalize or max(ranks) > 3:
        call.refuse(
            "LiteRT's product of matrices takes vectors and matrices as they "
            "are. Use normalize=False, and inputs of 2 or 3 axes."
        )
    a, b = (
        call.add("RESHAPE", [x], lambda x: x[:, tf.newaxis]) if rank == 2 else x
        for x, rank in zip(call.inputs, ranks, strict=True)
    )
    if ranks[0] == 3 and axes[0] == 1:
        a = turned(call, a, (0, 2, 1))
    transposed = ranks[1] == 2 or axes[1] == 2
    y = matrix_product(call, a, b, transposed=transposed)
    kept = sum(rank - 2 for rank in ranks) or 1
    if kept == 2:
        return y
    return call.add("RESHAPE", [y], lambda y: tf.reshape(y, [-1, _size(y)]))


def _size(y):
    return y.shape[1] * y.shape[2]
