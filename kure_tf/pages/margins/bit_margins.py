"""Bit margins: how few bits are as good as float."""

import dataclasses
import itertools
import statistics

from kure_tf.measurements.budget import within
from kure_tf.pages import labels
from kure_tf.pages.place import BITS, Method

MEAN_BITS = range(2, 9)


@dataclasses.dataclass(frozen=True)
class BitMargin:
    """How few bits are within the budget of float.

    Attributes:
        method: How the step sizes were found.
        activations: Whether activations have as many bits as the weights
            (W=A), rather than being in float (weights only).
        lowest: The fewest weight bits that are within the budget, and with
            them all larger ones that were measured; None if there are none.
        interval: What `lowest` becomes with one standard error of a drop less,
            and more, of budget: how well the examples and seeds tell it.
        passing: Fewer bits than those that are within it nevertheless.
        drops: `(weight bits, (what is lost against float, its standard error
            or None))` of all that were measured, from many bits to few.
        mean: Mean value over the `mean_bits`; None if there are none.
        mean_bits: The weight bits of 2..8 that were measured.
    """

    method: Method
    activations: bool
    lowest: int | None
    interval: tuple[int | None, int | None]
    passing: tuple[int, ...]
    drops: tuple
    mean: float | None
    mean_bits: tuple[int, ...]

    @property
    def label(self) -> str:
        """What is quantized, in words."""
        return "W = A" if self.activations else "weights only"


def bit_margins(one, budget):
    """Yields the `BitMargin`s of a series; see `margins`."""
    groups = {}
    for place, estimate in one.estimates.items():
        weights = place.point.weight_bits
        activations = place.point.activation_bits
        plain = place.table == BITS and not labels.rest(place.point)
        if (
            plain
            and weights is not None
            and activations in (None, weights)
            and not place.method.sweep
        ):
            key = (place.method, activations is not None)
            groups.setdefault(key, {})[weights] = estimate
    for (method, both), estimates in groups.items():
        in_float = one.float_reference(method)
        if in_float is not None:
            yield _bit_margin(method, both, estimates, in_float, budget)


def _bit_margin(method, both, estimates, in_float, budget):
    order = sorted(estimates, reverse=True)
    drops = {bits: in_float.ahead_of(estimates[bits]) for bits in order}
    allowed = in_float.metric.allowed(budget, in_float.mean)
    good = [bits for bits in order if within(drops[bits][0], allowed)]
    unbroken = _unbroken(drops, allowed)
    averaged = [bits for bits in order if bits in MEAN_BITS]
    return BitMargin(
        method,
        both,
        lowest=_last(unbroken),
        interval=tuple(_last(_unbroken(drops, allowed, s)) for s in (-1, 1)),
        passing=tuple(good[len(unbroken) :]),
        drops=tuple(drops.items()),
        mean=statistics.fmean(estimates[bits].mean for bits in averaged)
        if averaged
        else None,
        mean_bits=tuple(averaged),
    )


def _unbroken(drops, allowed, errors=0):
    """Returns the bits from many down that are within the budget.

    Args:
        drops: `{bits: (drop, its standard error or None)}` from many bits.
        allowed: The budget.
        errors: How many standard errors of each drop to add to it.
    """

    def good(bits):
        drop, error = drops[bits]
        return within(drop, max(0.0, allowed + errors * (error or 0.0)))

    return list(itertools.takewhile(good, drops))


def _last(bits):
    return bits[-1] if bits else None
