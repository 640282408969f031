"""A quantized kernel with the batch normalization behind it folded in."""

import dataclasses

import numpy as np

from kure_tf import compat
from kure_tf.export.fake_quant.fake_quant_kernel import HIGHEST
from kure_tf.export.fake_quant.operators import in_float
from kure_tf.fake_quantized import gain_and_shift
from kure_tf.integer_graph.kernels import channel_shape, codes_and_steps
from kure_tf.settings.operating_point import FP

# The converter takes no range narrower than this; a little is for rounding.
_NARROWEST = 1e-6 * (1 + 2.0**-16)
_LARGEST_BIAS = 2.0**30  # Half of what int32 holds; sums need the rest.
_SMALL = 1 / 64


@dataclasses.dataclass(frozen=True, eq=False)
class FoldedKernel:
    """What a file holds of a kernel.

        scales = step * |gain|          codes * sign(gain)
        biases = round((bias * gain + shift) / (input_scale * scales))

    gain and shift are those of the batch normalization behind.

    Attributes:
        path: Path of the kernel.
        codes: Integers of the shape of the kernel.
        scales: Float32 `[1]` or `[channels]`.
        biases: Integers `[channels]`, as float64; None if there are none.
        input_scale: Scale of the layer's input.
        container: Bits that the file gives each code: 8 or 4.
    """

    path: str
    codes: np.ndarray
    scales: np.ndarray
    biases: np.ndarray | None
    input_scale: float
    container: int

    @property
    def bias(self):
        """What the biases stand for, float64; None if there are none."""
        return None if self.biases is None else self.biases * self._unit

    @property
    def _unit(self):
        return np.float64(self.input_scale) * self.scales


def folded_kernel(tensor, layer, norm, input_scale, container):
    """Returns the `FoldedKernel` of one layer.

    The converter stores no scale below 4e-9, and a bias in units of the scales
    of input and kernel as int32. A channel that training left almost nothing
    of may need less: it gets the smallest scale that can be stored, with its
    own codes. Channels of zeros keep the step.

    Args:
        tensor: The `QuantizedTensor` of the kernel.
        layer: The layer that has it.
        norm: The batch normalization behind, or None.
        input_scale: Scale of the layer's input.
        container: Bits for kernels whose codes fit into them, 8 or 4.

    Raises:
        ValueError: If the kernel is in float, or int8 does not hold it.
    """
    if compat.to_numpy(tensor.state.bits) == FP:
        raise in_float(repr(tensor.path))
    codes, steps = codes_and_steps(tensor)
    if np.abs(codes).max() > HIGHEST[container]:
        container = 8
    scales, bias = steps.reshape(-1), None
    if layer.bias is not None:
        bias = compat.to_numpy(layer.bias).astype(np.float64)
    if norm is not None:
        gain, shift = gain_and_shift(norm)
        (kernel,) = compat.kernels_of(layer)
        shape = channel_shape(codes.shape, kernel.channel_axes)
        others = tuple(i for i, size in enumerate(shape) if size == 1)
        silent = ~codes.any(others).reshape(-1)
        codes = codes * np.sign(gain).astype(int).reshape(shape)
        scales = scales * np.where(silent, 1.0, np.abs(gain))
        bias = (0.0 if bias is None else bias) * gain + shift
    scales = _storable(tensor.path, scales, bias, input_scale, container)
    if bias is not None:
        bias = np.rint(bias / (np.float64(input_scale) * scales))
    return FoldedKernel(
        path=tensor.path,
        codes=codes,
        scales=scales,
        biases=bias,
        input_scale=input_scale,
        container=container,
    )


def _storable(path, scales, bias, input_scale, container):
    smallest = np.full(scales.shape, _NARROWEST / (2 * HIGHEST[container]))
    if bias is not None:
        biases = np.abs(bias) / (input_scale * _LARGEST_BIAS)
        smallest = np.maximum(
            smallest, biases.max() if scales.size == 1 else biases
        )
    wrong = (scales < smallest) & (smallest > _SMALL * scales.max())
    if wrong.any():
        channel = int(wrong.argmax())
        raise ValueError(
            f"Expected a kernel that the converter can store. {path!r} needs "
            f"the scale {scales[channel]:.3g} in channel {channel}, but the "
            f"smallest that holds its bias is {smallest[channel]:.3g}. Give "
            "the layer a larger step size, or look at its bias and at the "
            "batch normalization behind it."
        )
    return np.maximum(scales, smallest).astype(np.float32)
