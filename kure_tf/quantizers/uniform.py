"""The uniform quantizer: step sizes come from calibration, not training."""

import tensorflow as tf

from kure_tf.compat import register_serializable
from kure_tf.ops.fake_quantize import switched_fake_quantize
from kure_tf.quantizers.quantizer import Quantizer
from kure_tf.settings.operating_point import MAX_BITS


@register_serializable("kure_tf")
class UniformQuantizer(Quantizer):
    """Rounds to a uniform grid whose step size is given.

        y = step_size * (round(clip(v, low, high)) + offset)
        v = x / step_size - offset

    `round` goes to the nearest level, halves to the even one, unless the
    state's rounding mode says otherwise (`ops.rounding`). The gradient is the
    straight-through one of `fake_quantize` in every mode: 1 inside the
    clipping range, 0 outside. It is not the derivative.

    Args:
        grid: A `Grid` or its name; its summary says the levels, whether zero
            is one of them, and whether an integer device can run it:
            "narrow" (what LiteRT stores), "full", "unsigned",
            "signed_or_unsigned" and "asymmetric" (activations), "reference"
            and "equation1" (the paper's, not deployable).
        granularity: "per_tensor" or "per_channel".
        trainable: Whether the step size is trained.
    """

    follows_state = True

    def __init__(
        self, grid="narrow", granularity="per_tensor", trainable=False
    ):
        super().__init__(grid, granularity, trainable)

    def quantize(self, x, state):
        return self.rounded(x, self.step_size(state), state)

    def rounded(self, x, step_size, state):
        """Returns `x` on the grid of a step size.

        Args:
            x: Tensor.
            step_size: The one in force; gets a gradient.
            state: All else that is in force.
        """
        bits = tf.convert_to_tensor(state.bits)
        return switched_fake_quantize(
            x,
            step_size,
            self.levels_in_force(state, step_size),
            self.grid.offset * step_size if self.grid.offset else 0.0,
            kernels=self.kernels(),
            index=tf.where(bits > MAX_BITS, 0, self.kernel_in_force(state)),
            rounding_mode=tf.convert_to_tensor(state.rounding_mode),
        )
