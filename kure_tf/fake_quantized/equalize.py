"""Cross-layer equalization: kernels that one step size fits better."""

import dataclasses
import sys

import numpy as np

from kure_tf import compat
from kure_tf.fake_quantized.layer_pairs import (
    input_axis,
    layer_pairs,
    with_relu,
)
from kure_tf.fake_quantized.same_outputs import check_same_outputs
from kure_tf.quantizers import shared_axes

_WAY_OUT = "Go on without equalize: a layer scales in a way of its own."
_ROUNDS = 100
_TOLERANCE = 1e-4  # Of the logarithm of a scale: then nothing moves any more.


def equalize(model, *, relu6="keep", verbose=False):
    """Returns a copy of `model` whose pairs of layers share their ranges.

    Cross-layer equalization (Nagel et al. 2019, "Data-Free Quantization
    Through Weight Equalization and Bias Correction", arXiv 1906.04721, section
    4.1). What stands between the two layers of a pair is positively
    homogeneous, f(s x) = s f(x), so channel i between them can be scaled:

        W1[..., i] / s_i,    b1[i] / s_i,    W2[i, ...] * s_i
        s_i = sqrt(r1_i r2_i) / r2_i         (Eq. 11)

    where r1_i and r2_i are the largest absolute values of the channel's weights
    in the first kernel and in the second. Both become sqrt(r1_i r2_i). All
    pairs are gone through until nothing changes. Per-tensor quantization gains
    where the channels' ranges differ, as in networks of depthwise
    convolutions; per-channel weights gain little. A channel without weights on
    one side stays.

    Outputs are equal up to rounding (1e-4 of their size), unless ReLU6 is
    replaced. Calibrate and re-estimate afterwards: activations have other
    ranges. `model` is not changed.

    Args:
        model: A built functional or sequential model, nested ones are opened,
            whose batch normalization is folded (`fold_batch_norm`); one that
            is not stands between the layers of a pair.
        relu6: "keep": ReLU6 is not homogeneous, and its pairs are left out.
            "relu": within pairs it is replaced by ReLU, as the paper does.
            THIS CHANGES THE FUNCTION of the model: measure its accuracy.
        verbose: Whether to print the pairs, and the layers that have none and
            why, to the standard error stream.

    Raises:
        TypeError: If `model` is subclassed or of the other Keras.
        ValueError: If it is unbuilt, no pair is found, `relu6` is something
            else, or the copy computes something else on a random batch.
    """
    if relu6 not in ("keep", "relu"):
        raise ValueError(
            "Expected relu6='keep', or 'relu' to replace it, which changes "
            f"the function of the model. Received: {relu6!r}."
        )
    compat.check_graph_model(model)
    compat.check_kernels(model)
    pairs, skipped = layer_pairs(model, relu6=relu6)
    if verbose:
        print(_described(pairs, skipped), file=sys.stderr)
    if not pairs:
        raise ValueError(
            f"Expected pairs of layers to equalize. In {model.name!r} there "
            f"are none: {skipped}. Fold batch normalization first "
            "(fold_batch_norm); relu6='relu' replaces ReLU6."
        )
    copy = _copied(model, pairs)
    layers = dict(compat.layers_of(copy))
    kernels = {
        path: _Weights(layers[path])
        for pair in pairs
        for path in (pair.first, pair.second)
    }
    for _ in range(_ROUNDS):
        moved = [
            _equalized(kernels[pair.first], kernels[pair.second])
            for pair in pairs
        ]
        if max(moved) < _TOLERANCE:
            break
    for weights in kernels.values():
        weights.write()
    if not any(pair.replaced for pair in pairs):
        check_same_outputs(model, copy, tolerance=1e-3, way_out=_WAY_OUT)
    return copy


def _copied(model, pairs):
    replaced = {path for pair in pairs for path in pair.replaced}

    def make_layer(path, layer):
        changes = with_relu(layer) if path in replaced else None
        copy = compat.copy_layer(layer, changes)
        return copy, copy

    return compat.clone_model(model, make_layer)


def _described(pairs, skipped):
    lines = [
        f"{pair.first} -> {pair.second}: equalized"
        + "".join(f", {path} made ReLU" for path in pair.replaced)
        for pair in pairs
    ]
    lines += [f"{path}: not equalized: {why}" for path, why in skipped.items()]
    return "\n".join(lines)


@dataclasses.dataclass
class _Weights:
    """Kernel and bias of a layer, in float64, until they are written back."""

    layer: object

    def __post_init__(self):
        (self._kernel,) = compat.kernels_of(self.layer)
        variable = getattr(self.layer, self._kernel.attribute)
        self.kernel = compat.to_numpy(variable).astype(np.float64)
        self.bias = None
        if self.layer.use_bias:
            self.bias = compat.to_numpy(self.layer.bias).astype(np.float64)

    def write(self):
        getattr(self.layer, self._kernel.attribute).assign(self.kernel)
        if self.bias is not None:
            self.layer.bias.assign(self.bias)

    @property
    def output_axes(self):
        return self._kernel.channel_axes

    @property
    def input_axes(self):
        return (input_axis(self.layer),)

    def ranges(self, axes):
        """Returns the largest absolute value of each channel, as a vector."""
        shape = compat.channel_shape(self.kernel.shape, axes)
        others = shared_axes(shape, self.kernel.ndim)
        return np.abs(self.kernel).max(axis=others).reshape(-1)

    def scale(self, factors, axes):
        """Multiplies each channel by its factor."""
        shape = compat.channel_shape(self.kernel.shape, axes)
        self.kernel *= factors.reshape(shape)


def _equalized(first, second):
    """Equalizes a pair; returns by how much, as the largest |log s|."""
    r1 = first.ranges(first.output_axes)
    r2 = second.ranges(second.input_axes)
    usable = (r1 > 0) & (r2 > 0)
    ratio = np.where(usable, r1, 1.0) / np.where(usable, r2, 1.0)
    scales = np.sqrt(ratio)
    first.scale(1.0 / scales, first.output_axes)
    if first.bias is not None:
        first.bias /= scales
    second.scale(scales, second.input_axes)
    return float(np.abs(np.log(scales)).max())
