"""How many multiply-adds the layers of a model make for one example."""

import collections
import math
import re

import tensorflow as tf

from kure_tf.compat.arguments import inputs_of, with_arguments
from kure_tf.compat.graph import model_in
from kure_tf.compat.kernels import kernels_of, kind_of
from kure_tf.compat.replay import calls_of
from kure_tf.compat.spectral_normalization import plain_layer

WITHOUT_KERNEL = "without a kernel"
"""Stands for what is multiplied by no kernel that kure_tf knows."""

_RECURRENT = ("LSTM", "GRU", "SimpleRNN", "RNN")


def multiply_adds_of(model) -> dict:
    """Returns `{layer: {name: multiply-adds}}` for one example.

    A convolution makes one for each element of its kernel at each place of
    its output (transposed: of its input), a dense layer for each vector, a
    recurrent one for each time step, attention for its two products, too. A
    name is that of a kernel, or `WITHOUT_KERNEL`. Operations are keys, too:
    matmul, dot, tensordot (in tf_keras over one axis), conv and einsum. Sums,
    products of elements, normalization, pooling and look-ups count nothing. A
    layer that is called n times counts n times, and a size that the model
    leaves open counts as 1.

    Of a layer of a user's own each kernel counts once for each vector of its
    first input; if kure_tf knows no kernels of it, each of its weights of two
    and more dimensions.

    Args:
        model: A built functional or sequential model; nested ones are opened.
    """
    found = collections.defaultdict(collections.Counter)
    _add_calls(model, 1, found)
    return found


def _add_calls(model, times, found):
    for call in calls_of(model):
        if (inside := model_in(call.layer)) is not None:
            _add_calls(inside, times * _steps_around(inside, call), found)
            continue
        inner = _without_host(call.layer)
        shapes = _shapes(inner, call)
        for name, count in _of_layer(inner, shapes).items():
            found[call.layer][name] += times * count


def _steps_around(model, call):
    """Returns how often one call of a layer calls the model in it."""
    layer, depth = call.layer, 0
    while layer is not model:
        layer, depth = layer.layer, depth + 1
    inputs = tf.nest.flatten((call.args, call.kwargs))[0]
    return math.prod(_known(inputs.shape)[1 : 1 + depth])


def _without_host(layer):
    return layer.layer if hasattr(layer, "kure_tf_tensors") else layer


def _is_multiplied(thing):
    """Whether an argument is a tensor, and no mask."""
    return hasattr(thing, "shape") and not tf.as_dtype(thing.dtype).is_bool


def _shapes(layer, call):
    """Returns `{argument: shape}`, numbered where they have no name.

    "output" is what the call returned, "equation" the text that einsum was
    given in tf_keras, where no layer keeps it.
    """
    shapes = {}

    def note(name, value):
        if isinstance(value, str) and _name(layer) == "einsum":
            shapes["equation"] = value
        tensors = list(filter(_is_multiplied, tf.nest.flatten(value)))
        for tensor in tensors[:1]:
            shapes[name or len(shapes)] = _known(tensor.shape)
        for tensor in tensors[1:]:
            shapes[len(shapes)] = _known(tensor.shape)
        return value

    with_arguments(layer, call.args, call.kwargs, note)
    return {**shapes, "output": _known(tf.nest.flatten(call.outputs)[0].shape)}


def _known(shape):
    return tuple(size or 1 for size in shape)


def _first(shapes):
    return next(iter(shapes.values()))


def _of_layer(layer, shapes):
    """Returns `{name: multiply-adds}` of one call of a layer."""
    layer = plain_layer(layer)
    kind = kind_of(layer)
    if _name(layer) in _OF_ACTIVATIONS:
        return {WITHOUT_KERNEL: _OF_ACTIVATIONS[_name(layer)](layer, shapes)}
    if kind in ("MultiHeadAttention", "GroupQueryAttention"):
        return _of_attention(layer, shapes)
    if kind == "TimeDistributed":
        return _of_steps(layer, shapes)
    kernels = kernels_of(layer)
    if not kernels:
        return _of_unknown(layer, shapes)
    if not inputs_of(layer):
        return {}
    times = _times(layer, shapes)
    return {k.name: times * _size(k.variable_in(layer)) for k in kernels}


def _name(layer):
    """Returns the name of a layer's class, or of tf_keras' operation."""
    symbol = getattr(layer, "symbol", None) or type(layer).__name__
    return symbol.rpartition(".")[2].lower()


def _size(variable):
    return math.prod(variable.shape)


def _times(layer, shapes):
    """Returns how often each element of the kernels of a layer multiplies."""
    kind, inputs = kind_of(layer) or "", _first(shapes)
    if kind == "EinsumDense":
        return _einsum_places(layer.equation, inputs)
    if kind == "Bidirectional":
        return _times(layer.forward_layer, shapes)
    if kind in _RECURRENT:
        return inputs[0 if getattr(layer, "time_major", False) else 1]
    if kind.startswith("ConvLSTM"):
        return inputs[1] * _image_places(layer, shapes["output"])
    if kind.startswith("LocallyConnected"):
        return 1  # It has a kernel of its own for each place.
    if kind.endswith("Transpose"):
        return _image_places(layer, inputs)
    if "Conv" in kind:
        return _image_places(layer, shapes["output"])
    return math.prod(inputs[1:-1])


def _image_places(layer, shape):
    """Returns the places of an image, in any number of dimensions."""
    rank = int(re.search(r"(\d)D", kind_of(layer)).group(1))
    if layer.data_format == "channels_first":
        return math.prod(shape[-rank:])
    return math.prod(shape[-1 - rank : -1])


def _einsum_places(equation, shape):
    """Returns the product of the sizes that only the input has, but batch."""
    inputs, kernel, _ = re.split(",|->", equation.replace(" ", ""))
    _, *sizes = _einsum_sizes(inputs, shape)
    return math.prod(size for name, size in sizes if name not in set(kernel))


def _einsum_sizes(names, shape):
    """Returns `[(letter, size), ...]`; axes of "..." are numbers."""
    before, dots, behind = names.partition("...")
    unnamed = len(shape) - len(before) - len(behind) if dots else 0
    letters = [*before, *range(unnamed, 0, -1), *behind]
    return list(zip(letters, shape, strict=True))


def _of_attention(layer, shapes):
    query = shapes["query"]
    value = shapes.get("value", query)
    places = {"key": shapes.get("key", value), "value": value}
    counts, sizes = {}, {}
    for kernel in kernels_of(layer):
        part = kernel.prefix.rstrip("_")
        variable = kernel.variable_in(layer)
        sizes[part] = tuple(variable.shape)
        vectors = math.prod(places.get(part, query)[1:-1])
        counts[kernel.name] = vectors * _size(variable)
    axes = getattr(layer, "_attention_axes", None) or range(1, len(query) - 1)
    pairs = math.prod(query[1:-1]) * math.prod(value[axis] for axis in axes)
    heads, key_size = sizes["query"][-2:]
    counts[WITHOUT_KERNEL] = pairs * heads * (key_size + sizes["value"][-1])
    return counts


def _of_steps(layer, shapes):
    """Of `TimeDistributed`: what its layer makes, once for each step."""
    first = _first(shapes)
    one = {name: (s[0], *s[2:]) for name, s in shapes.items() if len(s) > 1}
    counts = _of_layer(layer.layer, one)
    return {name: first[1] * count for name, count in counts.items()}


def is_elementwise(layer) -> bool:
    """Whether a layer is normalization or a PReLU: no product of matrices."""
    if kind_of(layer) == "TimeDistributed":
        return is_elementwise(layer.layer)
    name = type(layer).__name__
    wraps_another = hasattr(layer, "layer")  # As SpectralNormalization does.
    return name.endswith(("Normalization", "PReLU")) and not wraps_another


def _of_unknown(layer, shapes):
    if is_elementwise(layer):
        return {}
    inside = getattr(layer, "layer", None)
    if inside is not None and kernels_of(inside):
        return _of_layer(inside, shapes)  # A wrapper, such as a normalization.
    weights = [w for w in getattr(layer, "weights", ()) if len(w.shape) > 1]
    vectors = math.prod(_first(shapes)[1:-1])
    return (
        {WITHOUT_KERNEL: vectors * sum(map(_size, weights))} if weights else {}
    )


def _of_dot(layer, shapes):
    if not hasattr(layer, "axes"):  # Keras 3's operation, not the layer.
        return _of_matmul(layer, shapes)
    axes = layer.axes if isinstance(layer.axes, int) else layer.axes[0]
    return math.prod(shapes["output"][1:]) * _first(shapes)[axes]


def _of_matmul(_, shapes):
    return math.prod(shapes["output"][1:]) * _first(shapes)[-1]


def _of_tensordot(layer, shapes):
    inputs, axes = _first(shapes), getattr(layer, "axes", 1)
    if isinstance(axes, int):
        axes = range(len(inputs) - axes, len(inputs))
    else:
        axes = axes[0] if hasattr(axes[0], "__len__") else axes[:1]
    return math.prod(shapes["output"][1:]) * math.prod(inputs[a] for a in axes)


def _of_einsum(layer, shapes):
    equation = shapes.pop("equation", None) or layer.subscripts
    inputs = equation.replace(" ", "").partition("->")[0].split(",")
    operands = list(shapes.values())[:-1]
    found = list(map(_einsum_sizes, inputs, operands))
    (batch, _), *_ = found[0]
    sizes = dict(pair for pairs in found for pair in pairs)
    return math.prod(size for name, size in sizes.items() if name != batch)


def _of_conv(_, shapes):
    kernel = list(shapes.values())[1]
    return math.prod(shapes["output"][1:]) * math.prod(kernel[:-1])


def _of_plain_attention(_, shapes):
    query, value, *_ = shapes.values()
    return query[1] * value[1] * (query[2] + value[2])


_OF_ACTIVATIONS = {
    "dot": _of_dot,
    "matmul": _of_matmul,
    "tensordot": _of_tensordot,
    "einsum": _of_einsum,
    "conv": _of_conv,
    "attention": _of_plain_attention,
    "additiveattention": _of_plain_attention,
}
