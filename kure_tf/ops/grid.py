"""Grids: the representable values of a uniform quantizer."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from kure_tf.ops.checks import check_choice


@dataclasses.dataclass(frozen=True)
class Grid:
    """Integers `low..high`, a function of `bits`, times `step_size`.

    The representable values are

        step_size * (k + offset),    k = low(bits), ..., high(bits).

    `bits` may be a number or a tensor everywhere, so that one compiled graph
    serves every bit-width.

    Attributes:
        name: Name to look the grid up by (`get`).
        summary: Levels, whether zero is one of them, and who can run it.
        levels: `(bits, lowest) -> (low, high)`. `lowest` is the smallest value
            that must be represented, in units of the step size; only adaptive
            grids look at it.
        extent: `(bits, lowest) -> number`: the clipping range in units of the
            step size. `step_size * extent` is what stays when bits change.
        offset: Shift of the levels in units of the step size: 0.5 for a
            mid-rise grid.
        min_bits: The smallest bit-width that leaves more than one level.
        adaptive: Whether the levels depend on `lowest`.
        deployable: Whether integer kernels such as LiteRT's hold the grid.
        fused: How one TensorFlow kernel can do it (see `fake_quantize`).
    """

    name: str
    summary: str
    levels: Callable
    extent: Callable
    offset: float = 0.0
    min_bits: int = 2
    adaptive: bool = False
    deployable: bool = True
    fused: str | None = None

    def check_bits(self, bits):
        """Raises a ValueError if the grid does not exist at `bits`."""
        if bits is not None and bits < self.min_bits:
            raise ValueError(
                f"Expected at least {self.min_bits} bits on the grid "
                f"{self.name!r}: {self.summary} Received: {bits}. One bit "
                "works on the grid 'reference', which has no zero."
            )


def _narrow_levels(bits, lowest=None):
    high = 2.0 ** (bits - 1) - 1
    return -high, high


def _full_levels(bits, lowest=None):
    return -(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1


def _unsigned_levels(bits, lowest=None):
    high = 2.0**bits - 1
    return high * 0.0, high


def _signed_or_unsigned_levels(bits, lowest):
    high = _signed_or_unsigned_extent(bits, lowest)
    return -_signed(lowest) * high, high


def _signed_or_unsigned_extent(bits, lowest):
    return 2.0 ** (bits - _signed(lowest)) - 1


def _signed(lowest):
    """Returns 1, a bit, where there are negative values, else 0."""
    return tf.cast(lowest < 0, tf.float32)


def _asymmetric_levels(bits, lowest):
    span = 2.0**bits - 1
    zero_point = tf.clip_by_value(tf.round(-lowest), 0.0, span)
    return -zero_point, span - zero_point


def _narrow_extent(bits, lowest=None):
    return 2.0 ** (bits - 1) - 1


def _span(bits, lowest=None):
    return 2.0**bits - 1


NARROW = Grid(
    "narrow",
    "-(2^(b-1)-1)..2^(b-1)-1, symmetric with a zero; what LiteRT stores as "
    "weights.",
    levels=_narrow_levels,
    extent=_narrow_extent,
    fused="symmetric",
)
FULL = Grid(
    "full",
    "-2^(b-1)..2^(b-1)-1, with a zero; two's complement, one more negative "
    "level than positive ones.",
    levels=_full_levels,
    extent=_narrow_extent,
)
UNSIGNED = Grid(
    "unsigned",
    "0..2^b-1, for tensors without negative values, such as ReLU outputs.",
    levels=_unsigned_levels,
    extent=_span,
    fused="unsigned",
)
SIGNED_OR_UNSIGNED = Grid(
    "signed_or_unsigned",
    "'unsigned' where calibration saw no negative value, else 'narrow'.",
    levels=_signed_or_unsigned_levels,
    extent=_signed_or_unsigned_extent,
    adaptive=True,
    fused="symmetric",
)
ASYMMETRIC = Grid(
    "asymmetric",
    "2^b levels between the calibrated ends, moved so that zero is one of "
    "them (an integer zero point); what LiteRT does with activations.",
    levels=_asymmetric_levels,
    extent=_span,
    adaptive=True,
)
REFERENCE = Grid(
    "reference",
    "2^b levels at odd multiples of half a step (mid-rise), without a zero; "
    "what the paper's code ran. No integer kernel holds it: zero weights "
    "become half a step.",
    levels=_full_levels,
    extent=lambda bits, lowest=None: (2.0**bits - 1) / 2,
    offset=0.5,
    min_bits=1,
    deployable=False,
)
EQUATION_1 = Grid(
    "equation1",
    "-2^(b-1)..2^(b-1): the 2^b + 1 levels of the paper's Eq. 1, one more "
    "than b bits can store.",
    levels=lambda bits, lowest=None: (
        -(2.0 ** (bits - 1)),
        2.0 ** (bits - 1),
    ),
    extent=lambda bits, lowest=None: 2.0 ** (bits - 1),
    min_bits=1,
    deployable=False,
)

GRIDS = {
    grid.name: grid
    for grid in (
        NARROW,
        FULL,
        UNSIGNED,
        SIGNED_OR_UNSIGNED,
        ASYMMETRIC,
        REFERENCE,
        EQUATION_1,
    )
}


def get(name) -> Grid:
    """Returns the grid of that name; a `Grid` is returned as it is."""
    if isinstance(name, Grid):
        return name
    return GRIDS[check_choice("the name of a grid", name, GRIDS)]
