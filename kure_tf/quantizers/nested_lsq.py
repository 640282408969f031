"""LSQ on codes of 8 bits that are read at fewer."""

import tensorflow as tf

from kure_tf.compat import register_serializable
from kure_tf.ops.fake_quantize import switched_fake_quantize
from kure_tf.ops.grid import NARROW
from kure_tf.quantizers.lsq import LSQQuantizer
from kure_tf.settings.operating_point import MAX_BITS

_STORED_BITS = 8.0


@register_serializable("kure_tf")
class NestedLSQQuantizer(LSQQuantizer):
    """LSQ for kernels of which a device stores 8 bits and reads fewer.

    Forward, with s the step of the stored codes c, and b the bits in force:

        c = round(clip(x / s, -127, 127))
        y = 2^(8-b) s round(clip(c / 2^(8-b), -Q, Q)),    Q = 2^(b-1) - 1

    which is the reading "even" of `NestedWeights`. All widths share the one
    step s: where LSQ keeps the clipping range when bits change, this keeps s.
    Gradients are those of LSQ with these levels, r = 2^(calibrated bits - b),
    rounding counting as the identity twice; a value is inside if
    |c| < 2^(8-b) Q. Above 8 bits nothing is stored: plain LSQ.

    Args:
        grid: "narrow", by name or as a `Grid`.
        granularity, trainable, batched, start: As for `LSQQuantizer`.

    Raises:
        ValueError: If the grid is another one.
    """

    def __init__(self, grid="narrow", *args, **options):
        super().__init__(grid, *args, **options)
        if self.grid is not NARROW:
            raise ValueError(
                "Expected the grid 'narrow', whose levels are readings of "
                f"8-bit codes. Received: {self.grid.name!r}. Take a placement "
                "that has its weights on 'narrow', or the method 'lsq'."
            )

    def step_ratio(self, state):
        """Returns 2^(calibrated_bits - bits) * step_scale."""
        return tf.convert_to_tensor(state.step_scale) * 2.0 ** (
            tf.convert_to_tensor(state.calibrated_bits)
            - tf.convert_to_tensor(state.bits)
        )

    def rounded(self, x, step_size, state):
        # In units of s all levels are whole numbers, so that ties are ties.
        bits = tf.convert_to_tensor(state.bits)
        unit = step_size * 2.0 ** (bits - _STORED_BITS)
        stored = switched_fake_quantize(
            tf.cast(x, tf.float32) / unit,
            1.0,
            NARROW.levels(_STORED_BITS),
            kernels=(NARROW.fused,),
            index=tf.where(bits > _STORED_BITS, 0, 1),
        )
        whole = 2.0 ** (_STORED_BITS - bits)
        y = tf.cast(super().rounded(stored, whole, state) * unit, x.dtype)
        return tf.where(bits > MAX_BITS, x, y)
