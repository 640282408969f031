"""Fake quantization: round to a grid, keep floating point, pass gradients."""

import dataclasses
import math

import tensorflow as tf

from kure_tf.ops.rounding import NEAREST, quantize_by_mode
from kure_tf.ops.sums import (
    ALL_ROWS,
    has_rows_of,
    in_parts,
    is_large,
    rows_of,
    sum_of_products,
    sum_to,
)

# QuantizeAndDequantizeV3 rounds to multiples of a step between the ends of a
# signed 17-bit range: wide enough for any grid of up to 16 bits, each level
# still exact in float32.
_WIDE_BITS = 17
_WIDE = 2.0 ** (_WIDE_BITS - 1) - 1
_FOUR_ULPS = 2.0**-21  # Of float32, relative.
_BY_MODE = "by mode"  # The kernel of all rounding modes but the nearest.


def fake_quantize(x, step_size, levels, origin=0.0, *, fused=None):
    """Returns `x` rounded to a uniform grid, in floating point.

        y = origin + step_size * round(clip(v, low, high))
        v = (x - origin) / step_size

    `round` goes to the nearest integer, halves to the even one. Clipping comes
    before rounding, which makes the gradients below those of LSQ (Esser et
    al. 2020, Eq. 3 and 5): rounding counts as the identity.

        dy/dx         = 1 where low < v < high, else 0
        dy/dstep_size = round(v) - v where low < v < high,
                        low where v <= low, high where v >= high
        dy/dorigin    = 0 where low < v < high, else 1

    The gradient is not the derivative, which is zero almost everywhere.

    Args:
        x: Floating-point tensor of any shape. float16 and bfloat16 are
            quantized in float32 and cast back.
        step_size: Distance of two levels, in the unit of `x`, positive.
            Scalar, or a shape that broadcasts against `x`: `[1, 1, 1, out]`
            quantizes a convolution kernel per output channel.
        levels: `(low, high)`, whole numbers or scalar tensors; high - low at
            most 2^17 - 2. A `Grid` gives them: `NARROW.levels(bits)`.
        origin: Where level 0 lies, in the unit of `x`; broadcasts against
            `step_size`.
        fused: A promise about `levels` that saves a pass over `x`:
            "symmetric" (low = -high, high + 1 a power of two) or "unsigned"
            (low = 0, high + 1 a power of two); both with `origin` 0.

    Returns:
        Tensor of the shape and dtype of `x`.

    Raises:
        TypeError: If `x` is not floating-point.

    Example:
        >>> from kure_tf.ops.grid import NARROW
        >>> fake_quantize([0.2, -0.3, 9.0], 0.25, NARROW.levels(3)).numpy()
        array([ 0.25, -0.25,  0.75], dtype=float32)
    """
    x = _checked(x)
    return _fake_quantize(x, step_size, levels, origin, (fused,), None, None)


def switched_fake_quantize(
    x,
    step_size,
    levels,
    origin=0.0,
    *,
    kernels,
    index,
    rounding_mode=None,
):
    """Returns `fake_quantize` by one of several kernels, or `x` untouched.

    One compiled graph so serves float and every grid: which it is may change
    from call to call. The gradient is that of `fake_quantize`, or 1.

    (TensorFlow differentiates a conditional by differentiating each of its
    branches, which takes many times as long to compile as this, and it cannot
    differentiate a custom gradient in a conditional inside a conditional.)

    Args:
        x, step_size, levels, origin: See `fake_quantize`.
        kernels: Values of `fused` (see `fake_quantize`) to choose from.
        index: Scalar int32 tensor: 0 returns `x` bit for bit, i the result by
            the kernel `kernels[i - 1]`. With a `rounding_mode`, one more than
            there are kernels is for levels that keep none of their promises.
        rounding_mode: Scalar float32 tensor, a code of `ops.rounding`: how to
            round where `index` is not 0. None, or NEAREST, is
            `fake_quantize`; the others go through `round_by_mode`, in float32,
            and stay inside the levels. The gradient is the same.
    """
    x = _checked(x)
    return _fake_quantize(
        x, step_size, levels, origin, kernels, index, rounding_mode
    )


def _checked(x):
    x = tf.convert_to_tensor(x)
    if not x.dtype.is_floating:
        raise TypeError(
            "Expected a floating-point tensor. Received one of dtype "
            f"{x.dtype.name}. Cast it first: tf.cast(x, tf.float32)."
        )
    return x


def _fake_quantize(x, step_size, levels, origin, kernels, index, mode):
    if mode is not None:
        mode = tf.convert_to_tensor(mode)
        # The last branch; taken where the tensor is not left in float.
        other = tf.logical_and(index > 0, tf.not_equal(mode, NEAREST))
        index = tf.where(other, len(kernels) + 1, index)
        kernels = (*kernels, _BY_MODE)
    wide = tf.float64 if x.dtype == tf.float64 else tf.float32
    levels = tuple(tf.cast(level, wide) for level in levels)
    moved = not isinstance(origin, (int, float)) or origin != 0.0

    @tf.custom_gradient
    def quantize(x, step_size, origin):
        tensor = _Tensor(x, step_size, origin, levels, mode, moved)
        y = _choose(index, kernels, lambda: tf.identity(x), tensor.output)

        def gradient(upstream):
            return _choose(
                *_in_gradient(index, kernels, tensor.keeps_output),
                lambda: (
                    tf.identity(upstream),
                    tf.zeros_like(step_size),
                    tf.zeros_like(origin),
                ),
                lambda fused: tensor.gradients(fused, upstream, y),
            )

        return y, gradient

    step_size, origin = (
        tf.cast(tf.convert_to_tensor(value), wide)
        for value in (step_size, origin)
    )
    return quantize(x, step_size, origin)


def _choose(index, kernels, untouched, by_kernel):
    """Returns what the index asks for; without one, the only kernel's."""
    if index is None:
        return by_kernel(kernels[0])
    return tf.switch_case(
        index,
        [untouched, *(lambda k=k: by_kernel(k) for k in kernels)],
    )


def _in_gradient(index, kernels, keeps_output):
    """Returns index and kernels for the backward pass.

    Where it only needs the output that the forward pass has left, the first
    kernel serves rounding by mode, too: a branch less to compile.
    """
    if kernels[-1] != _BY_MODE or not keeps_output:
        return index, kernels
    return tf.where(tf.equal(index, len(kernels)), 1, index), kernels[:-1]


@dataclasses.dataclass(frozen=True)
class _Tensor:
    """A tensor and its grid; `moved`: the origin may be another than 0."""

    x: tf.Tensor
    step_size: tf.Tensor
    origin: tf.Tensor
    levels: tuple[tf.Tensor, tf.Tensor]
    mode: tf.Tensor | None
    moved: bool

    @property
    def wide(self):
        """Returns x as the kernels take it."""
        return tf.cast(self.x, self.step_size.dtype)

    @property
    def keeps_output(self):
        """Whether the gradient is computed from the output as it is.

        In half precision its levels are too coarse to subtract. Of a large
        tensor it would stay in memory until the gradient is known.
        """
        apart = in_parts(self.x, self.step_size) and not self.moved
        return self.x.dtype == self.step_size.dtype and not apart

    def output(self, fused):
        return tf.cast(self._rounded(fused, self.wide), self.x.dtype)

    def _rounded(self, fused, x, rows=ALL_ROWS):
        step_size = self.step_size
        if has_rows_of(x, step_size):
            step_size = rows_of(step_size, rows)
        x = rows_of(x, rows)
        return _forward(
            fused, x, step_size, self.origin, *self.levels, self.mode
        )

    def _output_rows(self, fused, x, y):
        """Returns the function from a slice to so many rows of the output.

        What is drawn at random depends on the place in the whole tensor.
        """
        if not self.keeps_output:
            if fused != _BY_MODE:
                return lambda rows: self._rounded(fused, x, rows)
            y = self._rounded(fused, x)
        return lambda rows: rows_of(y, rows)

    def gradients(self, fused, upstream, y):
        """Returns the gradients with respect to x, step size and origin.

        Inside, (y - x) / step is round(v) - v; outside, (y - origin) / step is
        the level that x was clipped to.
        """
        x = self.wide
        upstream = tf.cast(upstream, x.dtype)
        output = self._output_rows(fused, x, y)
        of = self._of_moved_grid if self.moved else self._of_grid
        to_x, *others = of(fused, upstream, x, output)
        return tf.cast(to_x, self.x.dtype), *others

    def _to_x(self, fused, upstream, x):
        low, high = self.levels
        highest = high * self.step_size + self.origin
        lowest = None
        if fused != "unsigned":
            lowest = low * self.step_size + self.origin
        return _between(lowest, highest, upstream, x)

    def _of_moved_grid(self, fused, upstream, x, output):
        y = output(ALL_ROWS)
        to_x = self._to_x(fused, upstream, x)
        per_value = upstream * (y - self.origin) - to_x * (x - self.origin)
        to_step = sum_to(self.step_size, per_value) / self.step_size
        return to_x, to_step, sum_to(self.origin, upstream - to_x)

    def _of_grid(self, fused, upstream, x, output):
        """Does it in fewer passes over x: sums are subtracted.

        One after the other, which takes less memory. Other operations wait for
        the gradient of x; but of a large tensor `upstream` shall go first.
        """

        def to_x():
            return self._to_x(fused, upstream, x)

        def of_all():
            return sum_of_products(self.step_size, upstream, output)

        if is_large(x):
            of_all, to_x = _in_turn(of_all, to_x)
        else:
            to_x, of_all = _in_turn(to_x, of_all)
        with tf.control_dependencies([to_x, of_all]):
            inside = sum_of_products(
                self.step_size, to_x, lambda rows: rows_of(x, rows)
            )
        to_step = (of_all - inside) / self.step_size
        return to_x, to_step, tf.zeros_like(self.origin)


def _in_turn(first, then):
    """Returns what two functions return; the second waits for the first."""
    done = first()
    with tf.control_dependencies([done]):
        return done, then()


def _between(lowest, highest, upstream, x):
    """Returns `upstream` where lowest < x < highest, else 0.

    The gradient of ReLU6 selects on both sides at once, between 0 and 6, in the
    pass that reads, and writes where it read: comparing and selecting apart
    costs twice as much, and memory. What lies up to four units in the last
    place of the range below `highest` counts as outside, too, so that rounding
    cannot let `highest` itself in.
    """
    width = highest
    if lowest is not None:
        x, width = x - lowest, highest - lowest
    scale = 6.0 * (1.0 + _FOUR_ULPS) / width
    return tf.raw_ops.Relu6Grad(gradients=upstream, features=x * scale)


def _forward(fused, x, step_size, origin, low, high, mode):
    if fused == _BY_MODE:
        arguments = (x, step_size, origin, low, high, mode)
        y = quantize_by_mode(*(tf.cast(a, tf.float32) for a in arguments))
        y.set_shape(x.shape)
        return tf.cast(y, x.dtype)
    if fused == "unsigned":
        return _round(x, step_size, high, _log2(high + 1.0), signed=False)
    if fused == "symmetric":
        bits = _log2(high + 1.0) + 1.0
        return _round(x, step_size, high, bits, signed=True)
    x = x - origin
    x = tf.maximum(tf.minimum(x, high * step_size), low * step_size)
    return origin + _round(x, step_size, _WIDE, _WIDE_BITS, signed=True)


def _log2(power):
    return tf.round(tf.math.log(power) / math.log(2.0))


def _round(x, step_size, high, bits, *, signed):
    """Clips to +-high (or 0..high) steps and rounds to whole steps."""
    edge = tf.cast(high, x.dtype) * step_size
    if step_size.shape.num_elements() != 1:
        return _round_each(x, edge, high, signed)
    # One kernel reads and writes `x` once, and takes the bit-width as a tensor.
    edge = tf.reshape(edge, [])
    y = tf.raw_ops.QuantizeAndDequantizeV3(
        input=tf.reshape(x, [1]) if x.shape.rank == 0 else x,
        input_min=-edge if signed else tf.zeros_like(edge),
        input_max=edge,
        num_bits=tf.cast(bits, tf.int32),
        signed_input=signed,
        range_given=True,
        narrow_range=signed,
    )
    return tf.reshape(y, []) if x.shape.rank == 0 else y


def _round_each(x, edge, high, signed):
    """Does the same, to the bit, where step sizes differ.

    The kernel would walk through one channel after the other, far apart in
    memory: 4 to 14 times as long for a large dense layer. All but the first of
    these operations write where they read.
    """
    high = tf.cast(high, x.dtype)
    codes = tf.round(x * (high / edge))
    low = -high if signed else tf.zeros_like(high)
    codes = tf.raw_ops.ClipByValue(
        t=codes, clip_value_min=low, clip_value_max=high
    )
    return codes * (edge / high)
