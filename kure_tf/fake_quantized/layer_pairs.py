"""Pairs of layers between which channels can be scaled."""

import dataclasses

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.fake_quantized.fold import FoldedAway
from kure_tf.fake_quantized.layer_graph import LayerGraph

_layers = keras.layers
_HOMOGENEOUS = ("linear", "relu", "leaky_relu")
# Per channel, f(s x) = s f(x) for s > 0. Dropout does nothing in inference.
_PASSING = (
    "AveragePooling1D AveragePooling2D AveragePooling3D Cropping1D Cropping2D "
    "Cropping3D Dropout GlobalAveragePooling1D GlobalAveragePooling2D "
    "GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D "
    "GlobalMaxPooling3D LeakyReLU MaxPooling1D MaxPooling2D MaxPooling3D "
    "SpatialDropout1D SpatialDropout2D SpatialDropout3D UpSampling1D "
    "UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D"
).split()
_PASSING = (*(getattr(_layers, name) for name in _PASSING), FoldedAway)


@dataclasses.dataclass(frozen=True)
class LayerPair:
    """Two layers, by path, and what is positively homogeneous between them.

    Attributes:
        first: The layer whose output channels are scaled.
        second: The layer whose input channels they are.
        replaced: Paths of layers whose ReLU6 has to become ReLU for that.
    """

    first: str
    second: str
    replaced: tuple = ()


def layer_pairs(model, *, relu6="keep"):
    """Returns `([LayerPair, ...], {layer path: why it is first in no pair})`.

    The output of the first layer goes through ReLU, padding, pooling and the
    like to the second one and nowhere else. Arguments are those of `equalize`.
    """
    paths = {id(layer): path for path, layer in compat.layers_of(model)}
    graph = LayerGraph(model)
    pairs, skipped = [], {}
    for path, layer in compat.layers_of(model):
        if not compat.kernels_of(layer):
            continue
        found = _second(graph, layer, paths, relu6)
        if isinstance(found, str):
            skipped[path] = found
        else:
            second, replaced = found
            pairs.append(LayerPair(path, paths[id(second)], replaced))
    return pairs, skipped


def _second(graph, first, paths, relu6):
    """Returns (second layer, replaced paths), or why `first` has none."""
    why = _why_not(first)
    if why is not None:
        return why
    replaced, layer = [], first
    while True:
        why = _why_not_homogeneous(layer)
        if why is not None and not (_is_relu6(layer) and relu6 == "relu"):
            return why
        if why is not None:
            replaced.append(paths[id(layer)])
        layer = graph.only_consumer(layer)
        if isinstance(layer, str):
            return layer
        if id(layer) not in paths:
            return f"{layer.name} is no layer, or a nested model"
        if compat.kernels_of(layer):
            return _why_not(layer) or (layer, tuple(replaced))


def _why_not(layer):
    """Returns why a layer's channels cannot be scaled, None if they can."""
    if not (compat.is_stock(layer) and compat.is_linear(layer)):
        return f"{layer.name} is a {type(layer).__name__}"
    if len(compat.kernels_of(layer)) > 1 or isinstance(
        layer, _layers.EinsumDense
    ):
        return f"{layer.name} is a {type(layer).__name__}"
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return f"the channels of {layer.name} come first"
    depthwise = compat.kernels_of(layer)[0].channel_axes == (-2, -1)
    if not depthwise and (getattr(layer, "groups", 1) or 1) > 1:
        return f"{layer.name} is a grouped convolution"
    return None


def _why_not_homogeneous(layer):
    """Returns why f(s x) is not s f(x) for each channel, None if it is."""
    if not (compat.is_stock(layer) or isinstance(layer, FoldedAway)):
        return f"{layer.name} is a {type(layer).__name__}"
    if _is_relu6(layer):
        return (
            f"{layer.name} is a ReLU with a largest value, such as ReLU6; "
            "relu6='relu' replaces it"
        )
    if isinstance(layer, _layers.BatchNormalization):
        return f"{layer.name} is batch normalization; fold_batch_norm first"
    activation = getattr(layer, "activation", None)
    if activation is not None:
        name = getattr(activation, "__name__", type(activation).__name__)
        known = compat.is_linear(layer) or isinstance(layer, _layers.Activation)
        if known and name in _HOMOGENEOUS:
            return None
        return f"the activation {name!r} of {layer.name} is not homogeneous"
    if isinstance(layer, _layers.ReLU):
        if layer.threshold:
            return f"{layer.name} has a threshold"
        return None
    if isinstance(layer, _PASSING):
        return None
    return f"{layer.name} is a {type(layer).__name__}"


def _is_relu6(layer):
    if isinstance(layer, _layers.ReLU):
        return layer.max_value is not None and not layer.threshold
    activation = getattr(layer, "activation", None)
    return getattr(activation, "__name__", None) == "relu6"


def with_relu(layer) -> dict:
    """Returns the changes of configuration that make a ReLU6 a ReLU."""
    if isinstance(layer, _layers.ReLU):
        return {"max_value": None}
    return {"activation": "relu"}


def input_axis(layer) -> int:
    """Returns the axis of a kernel's input channels, counted from the end."""
    (kernel,) = compat.kernels_of(layer)
    return -1 if kernel.channel_axes == (-2,) else -2
