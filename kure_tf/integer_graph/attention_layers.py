"""Attention in integer operators."""

import inspect
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.integer_graph.activations import activate
from kure_tf.integer_graph.masks import check_use, reshaped
from kure_tf.integer_graph.matrix_products import matrix_product, turned
from kure_tf.integer_graph.steps import Value

_QUANTIZERS = {"query": "input", "value": "value_input", "key": "key_input"}
"""`{argument: its quantizer}`; arguments that are one tensor have the first."""

_UNSEEN = 8.0
"""How far below the largest score all unseen keys are, together.

exp(-8) is a twelfth of a code of the probabilities.
"""


class _Given(NamedTuple):
    """An argument: its tensor in the graph, its value, its quantizer's name."""

    tensor: object
    value: Value
    reads: str
    mask: Value | None


def attention(call):
    """Adds MultiHeadAttention or GroupQueryAttention.

        scores = query key^T / sqrt(d)
        context = softmax(scores) value

    Both products have the heads as examples. Heads of queries that share a key
    are more queries of one head, so that no key is copied.
    """
    query, value, key, causal = _arguments(call)
    heads, size = _heads(call, "query")
    groups, _ = _heads(call, "key")
    sharing = heads // groups

    q = _projected(call, "query", query, 1 / math.sqrt(size))
    q = _by_heads(call, q, groups, sharing)
    k = _by_heads(call, _projected(call, "key", key), groups)
    v = _by_heads(call, _projected(call, "value", value), groups)
    scores = matrix_product(call, q, k, transposed=True)
    if causal:
        ends = query.tensor.shape[1], key.tensor.shape[1]
        scores = _causal(call, scores, *ends, sharing)
    scores = _masked(call, scores, query, (value, key), sharing)
    weights = activate(call, scores, keras.activations.softmax)
    if compat.zeroes_the_unseeing(call.inner):
        for mask in _masks(call, query, (value, key), sharing):
            weights = call.add("MUL", [weights, mask], tf.multiply)
    weights = call.quantize(weights, "probabilities")
    context = call.quantize(matrix_product(call, weights, v), "context")
    context = _by_places(call, context, sharing)
    if "gate_kernel" in _kernels(call):
        gate = _product(call, "gate", query.value, query.reads)
        gate = activate(call, gate, keras.activations.sigmoid)
        context = call.add("MUL", [context, gate], tf.multiply)
    y = _product(call, "output", context, None)
    places = query.tensor.shape[1:-1]
    features = _kernels(call)["output_kernel"].variable_in(call.inner).shape[2:]
    if len(places) == len(features) == 1:
        return y
    shape = [-1, *places, *features]
    return call.add("RESHAPE", [y], lambda x: tf.reshape(x, shape))


def dot_attention(call):
    """Adds Attention, whose inputs are multiplied as they are."""
    layer, given = call.inner, _bound(call)
    query, value, *key = given.pop("inputs")
    check_use(call)
    _check_arguments(call, given)
    if layer.score_mode != "dot":
        call.refuse('it has no product of query and key. Use score_mode="dot".')
    q, key = query[1], key[0] if key else value
    if layer.scale is not None:
        q = call.affine(q, float(compat.to_numpy(layer.scale)))
    scores = matrix_product(call, q, key[1], transposed=True)
    if given.get("use_causal_mask") or getattr(layer, "causal", False):
        scores = _causal(call, scores, query[0].shape[1], key[0].shape[1])
    weights = activate(call, scores, keras.activations.softmax)
    return matrix_product(call, weights, value[1])


def _bound(call):
    """Returns the arguments of a call by name; a tensor with its value."""
    left = iter(call.inputs)
    args, kwargs = tf.nest.map_structure(
        lambda leaf: (leaf, next(left)) if compat.is_symbolic(leaf) else leaf,
        (call.args, call.kwargs),
    )
    signature = inspect.signature(call.inner.call)
    return signature.bind(*args, **kwargs).arguments


def _arguments(call):
    """Returns query, value and key, and whether a query sees none behind it."""
    given, found = _bound(call), {}
    for argument, name in _QUANTIZERS.items():
        tensor, value = given.pop(argument, None) or found["value"][:2]
        reads = name if name in call.hosted else "input"
        mask = _mask_of(call, argument, given, value)
        one = _Given(tensor, value, reads, mask)
        same = [other for other in found.values() if other.tensor is tensor]
        found[argument] = same[0] if same else _in_a_row(call, one)
    _check_arguments(call, given)
    if getattr(call.inner, "sliding_window", None):
        call.refuse("it has a sliding window. Use sliding_window=None.")
    return *found.values(), bool(given.get("use_causal_mask"))


def _mask_of(call, argument, given, value):
    """Returns the mask of an argument: what the call names, else the value's.

    Older versions of Keras 3 name it in the graph. MultiHeadAttention takes
    that of the query from the query itself all the same.
    """
    named = given.get(f"{argument}_mask")
    if not isinstance(named, tuple) or named[1].mask is not named[1]:
        return value.mask
    del given[f"{argument}_mask"]
    if argument == "query" and "MultiHead" in type(call.inner).__name__:
        return value.mask
    return named[1]


def _check_arguments(call, given):
    """Raises if there is a mask among the arguments."""
    masks = [
        argument
        for name, argument in given.items()
        if name.endswith("mask") and name != "use_causal_mask"
    ]
    if any(mask is not None for mask in tf.nest.flatten(masks)):
        call.refuse(
            "it is given a mask of its own, which no operator takes. "
            "use_causal_mask=True is one that is known beforehand."
        )


def _in_a_row(call, given):
    """Adds what puts all places of an argument along one axis."""
    tensor = given.tensor
    axes = tuple(range(1, len(tensor.shape) - 1))
    if tuple(getattr(call.inner, "_attention_axes", axes)) != axes:
        call.refuse("it attends along some of its axes. Use all of them.")
    if len(axes) == 1:
        return given
    if None in tensor.shape[1:]:
        call.refuse("the size of its input is open. Give keras.Input the size.")
    shape = [-1, math.prod(tensor.shape[1:-1]), tensor.shape[-1]]
    value = call.add("RESHAPE", [given.value], lambda x: tf.reshape(x, shape))
    return given._replace(value=value)


def _kernels(call):
    return {kernel.name: kernel for kernel in compat.kernels_of(call.inner)}


def _heads(call, name):
    """Returns how many heads a projection has, and their size."""
    kernel = _kernels(call)[f"{name}_kernel"]
    return kernel.variable_in(call.inner).shape[-2:]


def _projected(call, name, given, gain=1.0):
    """Adds `gain` times a projection, rounded by its quantizer."""
    y = _product(call, name, given.value, given.reads, gain)
    return call.quantize(y, name, gain)


def _product(call, name, x, reads, gain=1.0):
    """Adds gain * (x kernel + bias), the heads side by side."""
    kernel = _kernels(call)[f"{name}_kernel"]
    dense = kernel.owner_in(call.inner)
    bias = 0.0 if dense.bias is None else compat.to_numpy(dense.bias).ravel()

    def compute(x):
        value = compat.full_precision(dense.kernel)
        value = call.rounded(kernel.name, value)
        value = tf.reshape(value, [x.shape[-1], -1])
        return call.rounded(reads, x) @ value

    y = call.add(
        "FULLY_CONNECTED", [x], compute, kernel=kernel.name, reads=reads
    )
    return call.affine(y, gain, gain * np.float64(bias))


def _by_heads(call, x, groups, sharing=1):
    """Adds what makes `[places, heads * size]` `[groups, queries, size]`."""
    sizes = (groups, sharing) if sharing > 1 else (groups,)
    last = 1 + len(sizes)
    x = call.add(
        "RESHAPE",
        [x],
        lambda x: tf.reshape(
            x, [-1, x.shape[1], *sizes, x.shape[2] // math.prod(sizes)]
        ),
    )
    x = turned(call, x, (0, *range(2, last + 1), 1, last + 1))
    if sharing == 1:
        return x
    return call.add(
        "RESHAPE",
        [x],
        lambda x: tf.reshape(x, [-1, groups, sharing * x.shape[3], x.shape[4]]),
    )


def _by_places(call, x, sharing):
    """Adds what takes `_by_heads` back."""

    def parted(x):
        groups, queries, size = x.shape[1:]
        return tf.reshape(x, [-1, groups, sharing, queries // sharing, size])

    places = 2
    if sharing > 1:
        x, places = call.add("RESHAPE", [x], parted), 3
    axes = (0, places, *range(1, places), places + 1)
    return call.add(
        "RESHAPE",
        [turned(call, x, axes)],
        lambda x: tf.reshape(x, [-1, x.shape[1], math.prod(x.shape[2:])]),
    )


def _causal(call, scores, queries, keys, sharing=None):
    """Adds a limit: the lowest code where a key is behind the query.

    All scores lie on one grid, which ends so far below the largest one of each
    query that the softmax of its lowest code is 0.
    """
    if None in (queries, keys):
        call.refuse(
            "it is causal, and the number of its time steps is open. Give "
            "keras.Input the number."
        )
    seen = np.arange(queries)[:, np.newaxis] >= np.arange(keys)
    # [example, head, query, key]; without heads one axis less.
    seen = np.tile(seen, (1, 1, sharing, 1) if sharing else (1, 1, 1))

    def limited(x):
        largest = tf.reduce_max(tf.where(seen, x, -np.inf), -1)
        lowest = tf.reduce_min(largest) - _UNSEEN - math.log(keys)
        return tf.where(seen, x, lowest)

    limits = np.where(seen, np.inf, -np.inf)
    return call.add("MINIMUM", [scores], limited, like=scores, highest=limits)


def _masked(call, scores, query, keys, sharing):
    """Adds limits: the lowest code where a query or a key does not count.

    Args:
        call: The `LayerCall` that gets them.
        scores: `[example, head, query, key]`.
        query: The `_Given` whose places are queries.
        keys: Those whose places are keys.
        sharing: How many heads of queries a head of keys has.
    """
    for mask in _masks(call, query, keys, sharing):
        scores = call.add("MINIMUM", [scores, mask], _limited, like=scores)
    return scores


def _masks(call, query, keys, sharing):
    """Adds the masks of scores, of keys and of queries."""
    found = dict.fromkeys(one.mask for one in keys if one.mask)
    masks = [reshaped(call, mask, [1, 1, -1]) for mask in found]
    if query.mask is not None:
        masks.append(_of_queries(call, query.mask, sharing))
    return masks


def _of_queries(call, mask, sharing):
    """Adds a mask of queries as `[example, head, query, key]`."""
    rows = [reshaped(call, mask, [1, -1, 1])] * sharing
    if sharing == 1:
        return rows[0]
    return call.add(
        "CONCATENATION",
        rows,
        lambda *xs: tf.concat(xs, 2),
        axis=2,
        quantization=mask.quantization,
    )


def _limited(x, seen):
    """Returns scores, far below the largest of each query where unseen."""
    seen = tf.broadcast_to(seen > 0.5, tf.shape(x))
    largest = tf.reduce_max(tf.where(seen, x, x.dtype.min), -1)
    some = tf.reduce_any(seen, -1)  # A query may see none at all.
    lowest = tf.reduce_min(tf.where(some, largest, tf.reduce_max(x)))
    return tf.where(seen, x, lowest - _UNSEEN - math.log(x.shape[-1]))
