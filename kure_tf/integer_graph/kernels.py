"""A quantized kernel and its bias as integers."""

import dataclasses
import math

import numpy as np

from kure_tf import compat
from kure_tf.fake_quantized import hosted_tensors, integers_of
from kure_tf.integer_graph.graph import Quantization, Weights

LARGEST_RATIO = 256.0
"""XNNPACK refuses a whole file with one s_x s_w / s_y as large as this."""

LARGEST_SUM = 2**31 - 1
"""What int32 holds."""

LARGEST_LEVEL = 255
"""Of an int8 activation: code minus zero point."""


@dataclasses.dataclass(frozen=True, eq=False)
class _Channels:
    """A kernel in two dimensions, with what each output channel has.

    Attributes:
        codes: Integers in the layout of `Weights`.
        axes: The axes of `codes` that count output channels.
        scales, biases: Float64 `[channels]`.
    """

    path: str
    bits: int
    codes: np.ndarray
    axes: tuple[int, ...]
    scales: np.ndarray
    biases: np.ndarray

    def along(self, values):
        """Returns `[channels]` values in a shape that fits the codes."""
        return values.reshape(compat.channel_shape(self.codes.shape, self.axes))

    def largest_sums(self):
        """Returns the largest |sum of products| of each channel."""
        others = [
            axis for axis in range(-self.codes.ndim, 0) if axis not in self.axes
        ]
        magnitude = np.abs(self.codes.astype(np.int64))
        return LARGEST_LEVEL * magnitude.sum(tuple(others)).reshape(-1)


def weights_of(fused, tensors, x, y) -> Weights:
    """Returns the integers of a linear operator.

        scales = step * |gain| * input_gain        codes * sign(gain)
        biases = round((bias * gain + shift) / (x.scale * scales))

    gain and shift are those of the batch normalization behind, input_gain is
    that of a scaling in front. A mid-rise
    grid, whose levels are odd multiples of half a step, becomes the codes
    2 k + 1 of half the step.

    Args:
        fused: The `Fused` operator.
        tensors: `{id of the state: QuantizedTensor}` of the model.
        x, y: `Quantization` of its input and of its output.

    Raises:
        ValueError: If int8 does not hold its codes, int32 does not hold its
            sums, or XNNPACK would refuse it.
    """
    kernel, tensor = _kernel_of(fused.step, tensors)
    axes, bias = kernel.channel_axes, _bias_of(fused.step)
    codes, steps = codes_and_steps(tensor)
    shape = compat.channel_shape(codes.shape, axes)
    gain = np.broadcast_to(np.float64(fused.gain), np.prod(shape))
    steps = np.broadcast_to(steps, shape).reshape(-1)
    codes = codes * np.sign(gain).astype(int).reshape(shape)
    if fused.kind == "FULLY_CONNECTED":
        codes, axes = _as_matrix(codes, axes), (-1,)
    if fused.step.options.get("of_places"):
        steps, gain = np.tile(steps, len(codes)), np.tile(gain, len(codes))
        codes = _as_groups(codes)
    channels = _Channels(
        path=tensor.path,
        bits=int(compat.to_numpy(tensor.state.bits)),
        codes=_in_two_dimensions(codes),
        axes=axes,
        scales=steps * np.abs(gain) * fused.input_gain,
        biases=bias * gain + fused.shift,
    )
    return _as_integers(channels, x, y)


def affine_weights(fused, count, x, y) -> Weights:
    """Returns `gain * x + shift` as a depthwise kernel of one pixel.

    Its codes are 127 and -127.

    Args:
        fused: A `Fused` operator of the kind "AFFINE".
        count: Number of channels.
        x, y: `Quantization` of its input and of its output.
    """
    gain = np.broadcast_to(np.float64(fused.gain), count)
    channels = _Channels(
        path=f"{fused.output.name}/gain",
        bits=8,
        codes=127 * np.sign(gain).astype(int).reshape(1, 1, -1, 1),
        axes=(-2, -1),
        scales=np.abs(gain) / 127,
        biases=np.broadcast_to(np.float64(fused.shift), count),
    )
    return _as_integers(channels, x, y)


def mean_weights(fused, count, x, y) -> Weights:
    """Returns a mean over features, plus a shift, as a dense kernel.

    All of its codes are 127.

    Args:
        fused: A `Fused` operator of the kind "FEATURE_MEAN".
        count: Number of features.
        x, y: `Quantization` of its input and of its output.
    """
    channels = _Channels(
        path=f"{fused.output.name}/kernel",
        bits=8,
        codes=np.full((count, 1), 127),
        axes=(-1,),
        scales=np.array([1 / (127 * count)]),
        biases=np.array([fused.step.options["shift"]], np.float64),
    )
    return _as_integers(channels, x, y)


def patch_weights(fused, size, y) -> Weights:
    """Returns a kernel that copies a window into channels: ones and zeros.

    Args:
        fused: A `Fused` operator of the kind "PATCHES".
        size: (height, width, channels) of the window.
        y: `Quantization` of its input and of its output.
    """
    count = math.prod(size)
    channels = _Channels(
        path=f"{fused.output.name}/kernel",
        bits=8,
        codes=np.eye(count, dtype=int).reshape(*size, count),
        axes=(-1,),
        scales=np.ones(count),
        biases=np.zeros(count),
    )
    return _as_integers(channels, y, y)


def mask_table(fused, y) -> Weights:
    """Returns the codes of a mask at index 0 and at all others.

    Args:
        fused: A `Fused` operator of the kind "MASK".
        y: `Quantization` of its output.
    """
    codes = np.array([-128, 127], np.int8)
    return Weights(
        path=f"{fused.output.name}/table",
        bits=8,
        codes=codes[::-1] if fused.step.options["inverse"] else codes,
        scales=np.float32([y.scale]),
        biases=np.zeros(0, np.int32),
    )


def table_of(fused, tensors, y) -> Weights:
    """Returns the table of an embedding in the codes of its output.

    Args:
        fused: The `Fused` operator.
        tensors: `{id of the state: QuantizedTensor}` of the model.
        y: `Quantization` of its output: `table_quantization`.
    """
    _, tensor = _kernel_of(fused.step, tensors)
    codes, steps = codes_and_steps(tensor)
    return Weights(
        path=tensor.path,
        bits=int(compat.to_numpy(tensor.state.bits)),
        codes=np.rint(codes * (steps / y.scale)).astype(np.int8),
        scales=np.float32([y.scale]),
        biases=np.zeros(0, np.int32),
    )


def table_quantization(tensor) -> Quantization:
    """Returns codes for what an embedding looks up.

    Those of its quantizer where that has one step size for all rows; else 255
    levels as far as the largest value of the table.

    Args:
        tensor: The `QuantizedTensor` of the table.
    """
    codes, steps = codes_and_steps(tensor)
    step = steps.max()
    if (steps != step).any():
        step = max(np.abs(codes * steps).max(), 1e-8) / 127
    return Quantization(float(np.float32(step)), 0)


def _kernel_of(step, tensors):
    """Returns a kernel of a step's layer and its `QuantizedTensor`."""
    kernels = {one.name: one for one in compat.kernels_of(step.inner)}
    hosted = hosted_tensors(step.layer)[step.kernel]
    return kernels[step.kernel], tensors[id(hosted.state)]


def _bias_of(step):
    """Returns what a layer adds to the product with a kernel.

    It belongs to the last of several kernels; that of a cell is a step.
    """
    last = compat.kernels_of(step.inner)[-1]
    if last.name != step.kernel or last.owner or step.inner.bias is None:
        return 0.0
    return compat.to_numpy(step.inner.bias).astype(np.float64).ravel()


def codes_and_steps(tensor):
    """Returns integers and float64 steps with which they make a kernel.

    Args:
        tensor: The `QuantizedTensor` of the kernel, which is quantized.

    Raises:
        ValueError: If int8 does not hold the integers.
    """
    found = integers_of(tensor)
    codes, steps = found.codes.astype(int), found.step_size.astype(np.float64)
    if found.zero_point:
        codes, steps = 2 * codes + 1, steps / 2
    if np.abs(codes).max() > 127:
        raise ValueError(
            "Expected weights on a grid that int8 codes hold, from -127 to "
            f"127. Received: codes from {codes.min()} to {codes.max()} for "
            f"{tensor.path!r}, {found.bits} bits of the grid "
            f"{tensor.quantizer.grid.name!r}. Use the grid 'narrow', or 7 "
            "bits or fewer."
        )
    return codes, steps


def _as_matrix(codes, axes):
    """Returns a kernel whose output channels lie along some axes, `[in, out]`.

    That of attention has them in heads.
    """
    last = np.moveaxis(codes, axes, range(-len(axes), 0))
    return last.reshape(-1, np.prod(last.shape[-len(axes) :]))


def _as_groups(codes):
    """Returns kernels `[places, in, out]` as one, `[1, 1, in, places * out]`.

    Each place is a group of channels.
    """
    return np.swapaxes(codes, 0, 1).reshape(1, 1, codes.shape[1], -1)


def _in_two_dimensions(codes):
    """Returns the kernel of a 1D convolution as one of a single row."""
    return codes[np.newaxis] if codes.ndim == 3 else codes


def _as_integers(channels, x, y):
    """Returns the `Weights` of `_Channels`, checked."""
    sums = channels.largest_sums()
    silent, dead = _without_codes(channels, sums, x, y)
    size = np.maximum(np.abs(channels.biases), y.scale)
    scales = np.where(silent, size / (x.scale * 2.0**20), channels.scales)
    scales = scales.astype(np.float32)
    unit = np.float64(x.scale) * scales.astype(np.float64)
    biases = np.rint(channels.biases / unit)
    codes = np.where(channels.along(silent), 0, channels.codes)
    _check(
        channels.path,
        np.where(silent, 0, sums) + np.abs(biases),
        unit / y.scale,
    )
    return Weights(
        path=channels.path,
        bits=channels.bits,
        codes=codes.astype(np.int8),
        scales=scales[:1] if (scales == scales[0]).all() else scales,
        biases=biases.astype(np.int32),
        dead=tuple(np.flatnonzero(dead).tolist()),
    )


def _without_codes(channels, sums, x, y):
    """Returns which channels get zeros as codes, and which of them had some.

    A channel that training or batch normalization has left almost nothing of
    has a scale so small that int32 cannot count its bias in it. Where all its
    products together are less than half a code of the output, they are left
    out.
    """
    unit = np.float64(x.scale) * channels.scales
    with np.errstate(divide="ignore", invalid="ignore"):
        biases = np.abs(channels.biases / unit)
    too_small = ~(sums + biases <= LARGEST_SUM) | (unit < 1e-36)
    dead = (sums > 0) & too_small & (sums * unit < y.scale / 2)
    return (sums == 0) | dead, dead


def _check(path, sums, ratios):
    if (worst := int(sums.argmax())) >= 0 and sums[worst] > LARGEST_SUM:
        raise ValueError(
            "Expected sums and biases that int32 holds, up to 2^31 - 1. "
            f"Channel {worst} of {path!r} comes to {sums[worst]:.3g}: its "
            "bias is that large in units of its step. Give the layer a larger "
            "step size, or more bits."
        )
    worst = int(ratios.argmax())
    if ratios[worst] >= LARGEST_RATIO:
        raise ValueError(
            "Expected step sizes with (input * weight) / output below "
            f"{LARGEST_RATIO:.0f}: XNNPACK refuses the whole file otherwise. "
            f"Channel {worst} of {path!r} has {ratios[worst]:.4g}. Look at "
            "the batch normalization behind it (a variance near 0?), and at "
            "what reads it: a trained step size of 1e-8 has collapsed."
        )
