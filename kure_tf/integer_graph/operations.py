"""Operations between layers, such as `x + y`, in integer operators.

Keras 3 keeps them as `keras.ops` operations, tf_keras as layers that call a
function of TensorFlow. What one does is found by calling it on a probe, for
their arguments come in many spellings.
"""

import itertools
import re

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.integer_graph.activations import ACTIVATIONS
from kure_tf.integer_graph.matrix_products import matrix_product


def operation_of(layer) -> str | None:
    """Returns the name of an operation, such as "add"; None for a layer."""
    if type(layer).__name__ in ("TFOpLambda", "SlicingOpLambda"):
        return (layer.symbol or "").rpartition(".")[-1]
    if isinstance(layer, keras.layers.Layer):
        return None
    return re.sub("(?<=[a-z])(?=[A-Z])", "_", type(layer).__name__).lower()


def read_operation(call):
    """Adds the steps of an operation; returns the value of its output.

    Raises:
        ValueError: If no integer operator computes it; it is named.
    """
    name = operation_of(call.layer)
    if name in ACTIVATIONS and _is_function(call, name):
        return ACTIVATIONS[name](call, call.inputs[0])
    if name not in _READERS:
        call.refuse(f"no integer operator computes the operation {name!r}.")
    _check_examples(call)
    return _READERS[name](call)


def _operands(call):
    """Returns the tensor and the constant that are given, in order."""
    named = [x for key, x in call.kwargs.items() if key != "name"]
    return [x for x in (*call.args, *named) if x is not None]


def _check_examples(call):
    """Refuses what makes something else of two examples than of each."""
    if any(None in x.shape[1:] for x in call.tensors):
        return
    probe = _probe(call, _random, 2)
    together = np.asarray(call.repeat(*probe))
    each = [call.repeat(*(x[n : n + 1] for x in probe)) for n in range(2)]
    each = np.concatenate(each) if np.ndim(each[0]) else np.asarray(each)
    if together.shape != each.shape or not np.allclose(
        together, each, atol=1e-4, equal_nan=True
    ):
        call.refuse("it mixes the examples of a batch.")


def _probe(call, values, count=1):
    """Returns inputs like those of the call, of numbers that `values` gives.

    Args:
        call: The `LayerCall`.
        values: Function of their number, and of which input they are for.
        count: How many examples.
    """
    shapes = [(count, *x.shape[1:]) for x in call.tensors]
    if any(None in shape for shape in shapes):
        call.refuse("its input has an axis of any size.")
    return [
        tf.reshape(values(int(np.prod(shape)), number), shape)
        for number, shape in enumerate(shapes)
    ]


def _random(size, number):
    return np.random.default_rng(number).normal(0, 3, size).astype(np.float32)


def _counted(size, number):
    return np.arange(size, dtype=np.float32)


def _is_function(call, name):
    """Whether it is the activation function of that name, with its defaults."""
    (x,) = _probe(call, _random)
    function = getattr(keras.activations, name, getattr(tf.nn, name, None))
    return np.allclose(call.repeat(x), function(x), atol=1e-5)


def _binary(kind, affine):
    """Returns the reader of an operation of two values.

    Args:
        kind: The operator.
        affine: Function from a constant, and whether it comes first, to gain
            and shift.
    """

    def read(call):
        if len(call.inputs) == 2:
            return call.add(kind, call.inputs, call.repeat)
        first, second = _operands(call)
        comes_first = compat.is_symbolic(second)
        constant = np.float64(first if comes_first else second)
        if constant.size == 1 and constant.ndim <= len(call.tensors[0].shape):
            return call.affine(
                *call.inputs, *affine(constant.item(), comes_first)
            )
        (x,) = _probe(call, _counted)
        if call.repeat(x).shape != x.shape:
            call.refuse("its constant has more axes or entries than its input.")
        each = np.broadcast_to(constant, x.shape).reshape(-1, x.shape[-1])
        if (each == each[0]).all():
            return call.affine(*call.inputs, *affine(each[0], comes_first))
        return _of_each(call, *affine(each.ravel(), comes_first))

    return read


def _of_each(call, gain, shift):
    """Adds a gain and a shift for each entry, which are channels for it."""
    shape = _probe(call, _counted)[0].shape[1:]
    size = int(np.prod(shape))
    x = call.add("RESHAPE", call.inputs, lambda x: tf.reshape(x, [-1, size]))
    y = call.affine(x, gain, shift)
    return call.add("RESHAPE", [y], lambda x: tf.reshape(x, [-1, *shape]))


def _divide(call):
    if len(call.inputs) == 2 or compat.is_symbolic(_operands(call)[1]):
        call.refuse("integers are divided by constants only.")
    return _binary("DIV", lambda c, first: (1.0 / c, 0.0))(call)


def _negative(call):
    return call.affine(*call.inputs, -1.0)


def _concatenate(call):
    probe = _probe(call, _counted)
    sizes = call.repeat(*probe).shape, probe[0].shape
    (axis,) = (i for i, (a, b) in enumerate(zip(*sizes, strict=True)) if a != b)
    return call.add("CONCATENATION", call.inputs, call.repeat, axis=axis)


def _mean(call):
    """A mean over all pixels, with or without their axes."""
    (x,) = _probe(call, _random)
    axes = tuple(range(1, len(x.shape) - 1))
    found, expected = call.repeat(x), tf.reduce_mean(x, axes)
    if not (
        found.shape[-1] == expected.shape[-1]
        and np.size(found) == np.size(expected)
        and np.allclose(np.ravel(found), np.ravel(expected), atol=1e-5)
    ):
        call.refuse("it is no mean over all pixels of each channel.")
    shape = found.shape[1:]
    y = call.add(
        "MEAN", call.inputs, lambda x: tf.reduce_mean(x, axes), axes=axes
    )
    if len(shape) == 1:
        return y
    return call.add("RESHAPE", [y], lambda x: tf.reshape(x, [-1, *shape]))


def _matmul(call):
    """A product of two values: matrices, for each example and head."""
    if len(call.inputs) != 2:
        call.refuse("one of its factors is a constant. Use a Dense layer.")
    probe = _probe(call, _random)
    found = call.repeat(*probe)
    for first, transposed in itertools.product((0, 1), (False, True)):
        a, b = probe[first], probe[1 - first]
        if not _fit(a.shape, b.shape, transposed):
            continue
        expected = tf.matmul(a, b, transpose_b=transposed)
        if expected.shape == found.shape and np.allclose(
            found, expected, rtol=1e-4, atol=1e-3
        ):
            factors = call.inputs[first], call.inputs[1 - first]
            return matrix_product(call, *factors, transposed=transposed)
    call.refuse("it is no product of matrices of the last two axes.")


def _fit(a, b, transposed):
    """Whether matrices of these shapes have a product for each example."""
    depth = -1 if transposed else -2
    return len(a) == len(b) > 2 and a[1:-2] == b[1:-2] and a[-1] == b[depth]


def _moved(call):
    """What reshapes, slices or transposes."""
    (x,) = _probe(call, _counted)
    places = np.int64(call.repeat(x))
    if places.shape[:1] == (1,):
        if np.array_equal(places.ravel(), np.arange(np.size(x))):
            return call.add("RESHAPE", call.inputs, call.repeat)
        for axes in itertools.permutations(range(1, len(x.shape))):
            axes = (0, *axes)
            if np.array_equal(places, np.transpose(x, axes)):
                return call.add(
                    "TRANSPOSE", call.inputs, call.repeat, axes=axes
                )
        if (ends := _ends(np.int64(x), places)) is not None:
            return _sliced(call, *ends)
    call.refuse("it is no reshaping, transposition or slice without steps.")


def _ends(x, places):
    """Returns where a slice begins and ends; None if it is no slice."""
    if not places.size:
        return None
    begin = np.unravel_index(places.ravel()[0], x.shape)
    end = np.unravel_index(places.ravel()[-1], x.shape)
    part = x[tuple(slice(a, b + 1) for a, b in zip(begin, end, strict=True))]
    same = np.array_equal(part.ravel(), places.ravel())
    return (begin, end) if same else None


def _sliced(call, begin, end):
    size = [-1, *(b - a + 1 for a, b in zip(begin[1:], end[1:], strict=True))]
    begin = tuple(int(place) for place in begin)
    y = call.add(
        "SLICE", call.inputs, lambda x: tf.slice(x, begin, size), begin=begin
    )
    shape = call.repeat(*_probe(call, _counted)).shape[1:]
    if len(shape) == len(size) - 1:
        return y
    return call.add("RESHAPE", [y], lambda x: tf.reshape(x, [-1, *shape]))


_ADD = _binary("ADD", lambda c, first: (1.0, c))
_MULTIPLY = _binary("MUL", lambda c, first: (c, 0.0))
_SUBTRACT = _binary("SUB", lambda c, first: (-1.0, c) if first else (1.0, -c))
_READERS = {
    "add": _ADD,
    "concat": _concatenate,
    "concatenate": _concatenate,
    "divide": _divide,
    "einsum": _matmul,
    "expand_dims": _moved,
    "get_item": _moved,
    "getitem": _moved,
    "mat_mul": _matmul,
    "matmul": _matmul,
    "mean": _mean,
    "mul": _MULTIPLY,
    "multiply": _MULTIPLY,
    "negative": _negative,
    "reduce_mean": _mean,
    "reshape": _moved,
    "squeeze": _moved,
    "sub": _SUBTRACT,
    "subtract": _SUBTRACT,
    "transpose": _moved,
    "true_divide": _divide,
    "truediv": _divide,
}
