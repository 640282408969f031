"""A layer that hosts quantizers, as layers of FakeQuant operators."""

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.export.fake_quant.fake_quant import FakeQuant
from kure_tf.export.fake_quant.fake_quant_kernel import FakeQuantKernel
from kure_tf.export.fake_quant.folded_kernel import folded_kernel
from kure_tf.export.fake_quant.operators import in_float, refuse
from kure_tf.fake_quantized import hosted_tensors, norms_behind, quantizers_of
from kure_tf.integer_graph.grids import quantization_of
from kure_tf.settings.operating_point import FP

CONTAINERS = {"int8": 8, "int4": 4}
"""Bits of a code in a file."""

_PER_TENSOR = ("Conv2DTranspose", "Dense", "EinsumDense")
_KINDS = ("Conv1D", "Conv2D", "DepthwiseConv2D", *_PER_TENSOR)


def linears_of(model, container="int8", allow_others=False) -> dict:
    """Returns `{id of a layer: Linear}` of the quantized layers of a model.

    Args:
        model: A fake-quantized model at its operating point.
        container: "int8", or "int4" for kernels whose codes fit.
        allow_others: Whether layers that are in float are left out, and not
            refused.

    Raises:
        ValueError: If the converter does not take one of the layers so.
    """
    if container not in CONTAINERS:
        raise ValueError(
            f"Expected a container, one of {[*CONTAINERS]}. Received: "
            f"{container!r}."
        )
    tensors = {id(t.state): t for t in quantizers_of(model).values()}
    norms = norms_behind(model)
    found = {}
    for _, layer in compat.layers_of(model):
        hosted = hosted_tensors(layer)
        if hosted is None or allow_others and _some_in_float(hosted):
            continue
        bits = CONTAINERS[container]
        found[id(layer)] = Linear(layer, norms.get(layer), tensors, bits)
    if not found:
        raise in_float(f"all of {model.name!r}")
    return found


def _some_in_float(hosted):
    bits = [compat.to_numpy(one.state.bits) for one in hosted.values()]
    return FP in bits


class Linear:
    """Calls what stands for a convolution or dense layer that is quantized.

    Its input is rounded, its kernel is on its grid with batch normalization
    folded in; its activation function is left out. A 1D convolution, and a
    dense layer with a scale for each channel, become 2D convolutions, which
    alone the converter takes with such scales.

    Args:
        layer: The layer that hosts the quantizers.
        norm: The batch normalization behind it, or None.
        tensors: `{id of the state: QuantizedTensor}` of the model.
        container: Bits for a kernel whose codes fit into them, 8 or 4.

    Attributes:
        grid: `Quantization` of the input.
        folded: The `FoldedKernel`.

    Raises:
        ValueError: If the converter does not take the layer so.
    """

    def __init__(self, layer, norm, tensors, container):
        self._inner = layer.layer
        hosted = self._checked(layer)
        self.grid = quantization_of(hosted["input"], layer.name)
        (kernel,) = compat.kernels_of(self._inner)
        self.folded = folded_kernel(
            tensors[id(hosted[kernel.attribute].state)],
            self._inner,
            norm,
            self.grid.scale,
            container,
        )

    def _checked(self, layer):
        kind = type(self._inner).__name__
        if kind not in _KINDS:
            refuse(
                self._inner,
                "the converter has no integer operator for it. Write it with "
                "other layers, or pin it to 'float' and leave it to "
                "the converter: allow_others=True.",
            )
        hosted = hosted_tensors(layer)
        if "output" in hosted:
            refuse(
                self._inner,
                "its output is quantized, not its input. Quantize with "
                "quantize_apply(model, scheme=KureQuantizeScheme()).",
            )
        (kernel,) = compat.kernels_of(self._inner)
        if not {"input", kernel.attribute} <= set(hosted):
            raise in_float(repr(layer.name))
        if compat.to_numpy(hosted["input"].state.bits) == FP:
            raise in_float(f"the input of {layer.name!r}")
        return hosted

    def __call__(self, x, activate, name, names):
        """Returns the symbolic tensor of the output.

        Args:
            x: That of the input.
            activate: Function from a tensor to the same after the layer's
                activation function.
            name: Name of the new layer.
            names: The `Names` of the graph.
        """
        x = FakeQuant.on(self.grid, name=names.free(f"{name}_input"))(x)
        if self._as_convolution(x):
            return self._convolved(x, activate, name, names)
        changes = {"name": name, "activation": "linear"}
        if hasattr(self._inner, "use_bias"):
            changes.update(self._bias())
        copy = compat.copy_layer(self._inner, changes)
        return activate(self._computed(copy, x))

    def _as_convolution(self, x):
        kind, rank = type(self._inner).__name__, len(x.shape)
        if kind == "Conv1D":
            if self._inner.padding == "causal":
                refuse(self._inner, "it is causal. Pad in front of it.")
            return True
        # Of a dense layer on more axes, the converter leaves the bias in float.
        if kind == "Dense" and (rank > 2 or self.folded.scales.size > 1):
            if rank > 4:
                refuse(self._inner, "its input has more than 4 axes.")
            return True
        if kind in _PER_TENSOR and self.folded.scales.size > 1:
            refuse(
                self._inner,
                "the converter takes one scale for its kernel, and here each "
                "channel has its own (a step per channel, or batch "
                "normalization behind). Quantize it per tensor.",
            )
        return False

    def _convolved(self, x, activate, name, names):
        """Computes on an image: one row of pixels, or a single pixel."""
        layer, shape = self._inner, tuple(x.shape[1:])
        if type(layer).__name__ == "Conv1D":
            filters, options = layer.filters, _in_one_row(layer)
        else:
            filters, options = layer.units, {"kernel_size": 1}
        convolution = keras.layers.Conv2D(
            filters,
            name=name,
            dtype="float32",
            **options,
            **self._bias(),
        )
        x = as_image(x, names.free(f"{name}_image"))
        y = activate(self._computed(convolution, x))
        return from_image(y, len(shape), names.free(f"{name}_flat"))

    def _bias(self):
        return {"use_bias": self.folded.biases is not None}

    def _computed(self, layer, x):
        kernel = FakeQuantKernel(layer, self.folded.container)
        y = kernel(x)
        # Of one row, and of one pixel, in a 2D convolution.
        shape = tuple(kernel.variable.shape)
        codes = self.folded.codes.reshape(shape)
        kernel.set_codes(codes, self.folded.scales, self.folded.bias)
        return y


def _in_one_row(layer):
    """Returns the options of a 2D convolution for those of a 1D one."""
    pairs = {
        name: (1, *getattr(layer, name))
        for name in ("kernel_size", "strides", "dilation_rate")
    }
    return {**pairs, "padding": layer.padding, "groups": layer.groups}


def as_image(x, name):
    """Returns `x` with axes of size 1 in front, up to those of an image."""
    shape = tuple(x.shape[1:])
    if len(shape) == 3:
        return x
    return _reshaped(x, (1,) * (3 - len(shape)) + shape, name)


def from_image(x, rank, name):
    """Returns `x` with the last `rank` axes only, the batch not counted."""
    shape = tuple(x.shape[1:])
    return x if rank == 3 else _reshaped(x, shape[-rank:], name)


def _reshaped(x, shape, name):
    shape = tuple(-1 if size is None else size for size in shape)
    return keras.layers.Reshape(shape, name=name, dtype="float32")(x)
