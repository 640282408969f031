"""DoReFa: weights through tanh, activations clipped."""

import numpy as np
import tensorflow as tf

from kure_tf.compat import register_serializable
from kure_tf.ops.fake_quantize import switched_fake_quantize
from kure_tf.ops.straight_through import straight_through
from kure_tf.quantizers.quantizer import shared_axes
from kure_tf.quantizers.uniform import UniformQuantizer
from kure_tf.settings.operating_point import MAX_BITS


@register_serializable("kure_tf")
class DoReFaWeightQuantizer(UniformQuantizer):
    """DoReFa-Net's weights (Zhou et al. 2016, Eq. 9).

    Forward, with n = 2^b - 1, on the grid "reference":

        u = tanh(w) / max|tanh(w)|
        y = M (2 round(n (u / 2 + 1/2)) / n - 1)

    M is max|tanh(w)|, so that a trained layer keeps the size of its outputs;
    with `rescale=False` it is 1, which is Zhou et al.'s formula to the letter
    and what a layer in front of batch normalization does not feel. On any other
    grid u is rounded to the levels of that grid over [-1, 1].

    Gradient (not the derivative; rounding counts as the identity):

        dy/dw = M / max|tanh(w)| (1 - tanh(w)^2)

    everywhere, clipped values included. The gradient is stopped at the
    maximum, as in larq; `max_gradient=True` lets it through, as the reference
    code of the KURE paper does.

    Levels: on "reference" 2^b at odd multiples of M / n, without a zero, from 1
    bit up. An integer device can hold odd multiples up to 7 bits (LiteRT's
    int8, 3 bits in its int4), not 8. On "narrow" (deployable) 2^b - 1 with a
    zero.

    At bits FP it returns the limit of many bits, M u, and not w: tanh bends
    weights beyond 0.3 or so.

    The step size is held relative to the largest |tanh(w)|, so that the grid
    follows the weights; a step size from calibration is in the same unit.

    Args:
        grid: A symmetric `Grid` or its name.
        granularity: "per_tensor" (the paper), or "per_channel": the maximum
            is taken in each output channel.
        rescale: Whether M is max|tanh(w)|; else it is 1.
        max_gradient: Whether the gradient goes through the maximum.
        moved_zero: Only to repeat the KURE paper's Fig. 4c-d: how its
            reference code perturbs the step. The levels are counted from -M
            upwards and not clamped, u -> -1 + step round((u + 1) / step), so
            that with a step that is off by 2 % all levels but the lowest move,
            zero among them. No device does that. At a step ratio of 1 on the
            grid "reference" it is the same as without.

    Raises:
        ValueError: If the grid is one for activations.
    """

    def __init__(
        self,
        grid="reference",
        granularity="per_tensor",
        *,
        rescale=True,
        max_gradient=False,
        moved_zero=False,
    ):
        super().__init__(grid, granularity, trainable=False)
        if self.grid.adaptive or self.grid.name == "unsigned":
            raise ValueError(
                "Expected a symmetric grid for DoReFa's weights, such as "
                "'reference' (Zhou et al.) or 'narrow' (deployable). "
                f"Received: {self.grid.name!r}."
            )
        self.rescale = bool(rescale)
        self.max_gradient = bool(max_gradient)
        self.moved_zero = bool(moved_zero)

    def prepare(self, x, axes):
        bent = tf.tanh(x)
        largest = tf.reduce_max(tf.abs(bent), axes, keepdims=True)
        if not self.max_gradient:
            largest = tf.stop_gradient(largest)
        largest = tf.where(largest > 0, largest, tf.ones_like(largest))
        unit = largest if self.rescale else tf.ones_like(largest)
        return bent / largest, unit

    def quantize(self, x, state):
        shape = tuple(state.step_size.shape)
        relative, unit = self.prepare(x, shared_axes(shape, x.shape.rank))
        rounded = self._rounded(tf.stop_gradient(relative), state)
        return straight_through(relative, rounded) * unit

    def _rounded(self, relative, state):
        if not self.moved_zero:
            return super().quantize(relative, state)
        bits = tf.convert_to_tensor(state.bits)
        return switched_fake_quantize(
            relative,
            self.step_size(state),
            (0.0, 2.0**MAX_BITS),  # Beyond any value: nothing is clamped.
            tf.constant(-1.0),
            kernels=(None,),
            index=tf.where(bits > MAX_BITS, 0, 1),
            rounding_mode=tf.convert_to_tensor(state.rounding_mode),
        )

    def initial_step_size(self, values, lowest, highest, bits):
        """Returns the step at which the highest level is 1, for each row."""
        extent = float(self.grid.extent(float(bits)))
        return np.full(len(values), 1.0 / extent)

    def get_config(self):
        config = super().get_config()
        del config["trainable"]  # Never.
        return {
            **config,
            "rescale": self.rescale,
            "max_gradient": self.max_gradient,
            "moved_zero": self.moved_zero,
        }


@register_serializable("kure_tf")
class DoReFaActivationQuantizer(UniformQuantizer):
    """DoReFa-Net's activations (Zhou et al. 2016, Eq. 7 and 11).

    Forward, with n = 2^b - 1:

        y = c round(n clip(x / c, 0, 1)) / n

    c is 1 in the paper (`clip=1.0`). A model that was trained in float has
    activations beyond 1, which that would cut off: with `clip=None` the clip
    comes from calibration images instead, where the mean squared error at the
    trained bits is smallest.

    Gradient (not the derivative): 1 where 0 < x < c, else 0.

    Levels: 2^b with a zero; LiteRT's int8 holds up to 8 bits. An input that
    has negative values (calibration says so) is rounded to the symmetric
    levels of "narrow" instead, which is beyond the paper.

    Args:
        clip: c, positive; None takes it from calibration.

    Raises:
        ValueError: If `clip` is not positive.
    """

    def __init__(self, clip=1.0):
        if clip is not None and not clip > 0:
            raise ValueError(
                "Expected a clip above 0, or None to take it from "
                f"calibration. Received: {clip!r}."
            )
        super().__init__("signed_or_unsigned")
        self.clip = None if clip is None else float(clip)

    def initial_step_size(self, values, lowest, highest, bits):
        low = float(np.min(lowest))
        extent = float(self.grid.extent(float(bits), low))
        if self.clip is not None:
            return np.full(len(values), self.clip / extent)
        return self.smallest_mse_step(values, lowest, highest, bits)

    def get_config(self):
        return {"clip": self.clip}
