"""LSQ: step sizes that are learned by gradient."""

import numpy as np
import tensorflow as tf

from kure_tf.compat import register_serializable
from kure_tf.ops.checks import check_choice
from kure_tf.ops.straight_through import scale_gradient
from kure_tf.quantizers.uniform import UniformQuantizer

STARTS = ("paper", "mse")


@register_serializable("kure_tf")
class LSQQuantizer(UniformQuantizer):
    """Learned step size quantization (Esser et al. 2020, "LSQ").

    Forward, with Q_N and Q_P the lowest and highest level of the grid:

        y = step_size * round(clip(x / step_size, -Q_N, Q_P))      (Eq. 1, 2)

    Gradient (not the derivative; rounding counts as the identity):

        dy/dx         = 1 where -Q_N < x / step_size < Q_P, else 0     (Eq. 5)
        dy/dstep_size = round(v) - v inside, v = x / step_size,        (Eq. 3)
                        -Q_N below, Q_P above
                        times g = 1 / sqrt(N Q_P)               (section 2.2)

    N is the number of values that share a step size: those of a kernel (of one
    output channel, per channel), or those of one sample of an activation. The
    step size is the trained variable itself, kept positive by a constraint.

    Not in the paper, which has one operating point: where other bits or a step
    ratio are in force, the step in force is r times the variable
    (`step_ratio`). The gradient of the variable, r times that of the step in
    force, is divided by r^2 if r > 1: the variable then changes by the same
    share of itself as a step of its own would. Without, 2 bits in force would
    move a step of 8 bits 127^2 times too far. If r < 1 the chain rule alone
    holds, which moves the variable less, not more.

    Levels, whether zero is one of them and whether an integer device can hold
    them: as the grid says. "narrow" (the default, weights) has 2^b - 1 levels
    with a zero and is what LiteRT stores; "signed_or_unsigned" is for
    activations, 2^b levels after a ReLU. Both can be deployed.

    Args:
        grid: A `Grid` or its name.
        granularity: "per_tensor" (the paper) or "per_channel".
        trainable: Whether the step size is trained.
        batched: Whether axis 0 counts samples, as in activations.
        start: The first step size: "paper" is 2 mean|v| / sqrt(Q_P) (section
            2.1); "mse" is the one with the smallest mean squared error on the
            values that calibration saw. The paper's clips at 6 standard
            deviations after a ReLU (4 bits), and the scale g lets the steps of
            activations move slowly: long training corrects that, a few epochs
            of fine-tuning do not.

    Raises:
        ValueError: If there is no such start.
    """

    def __init__(
        self,
        grid="narrow",
        granularity="per_tensor",
        trainable=True,
        *,
        batched=False,
        start="paper",
    ):
        super().__init__(grid, granularity, trainable)
        self.start = check_choice("a start", start, STARTS)
        self.batched = bool(batched)

    def quantize(self, x, state):
        ratio = tf.stop_gradient(self.step_ratio(state))
        scale = tf.math.rsqrt(self._count(x, state) * self._highest(state))
        # Not in the paper: see the class.
        scale /= tf.square(tf.maximum(ratio, 1.0))
        step_size = scale_gradient(tf.convert_to_tensor(state.step_size), scale)
        return self.rounded(x, step_size * ratio, state)

    def _count(self, x, state):
        shape = tf.shape(x)[1:] if self.batched else tf.shape(x)
        steps = tf.cast(tf.size(state.step_size), tf.float32)
        return tf.cast(tf.reduce_prod(shape), tf.float32) / steps

    def _highest(self, state):
        bits = tf.convert_to_tensor(state.bits)
        return self.grid.extent(bits, tf.convert_to_tensor(state.origin))

    def initial_step_size(self, values, lowest, highest, bits):
        """Returns the step sizes that `start` asks for, one for each row."""
        if self.start == "mse":
            return self.smallest_mse_step(values, lowest, highest, bits)
        extent = float(self.grid.extent(float(bits), float(np.min(lowest))))
        mean = np.mean(np.abs(values), axis=1, dtype=np.float64)
        # Any step represents zeros.
        return np.where(mean > 0, 2.0 * mean / np.sqrt(extent), 1.0)

    def get_config(self):
        return {
            **super().get_config(),
            "batched": self.batched,
            "start": self.start,
        }
