"""The verdict of a report: which run it is about, and how it compares."""

import dataclasses

from kure_tf.pages import labels
from kure_tf.pages.estimate import uncertainty
from kure_tf.pages.margins.margins import Margins, margins
from kure_tf.pages.place import Method, methods_in
from kure_tf.pages.series import Series, bits_order, places_of
from kure_tf.pages.tables.models import regularized_layers

_WEIGHT_BITS = 3  # Where the paper's effect is largest yet usable.


@dataclasses.dataclass(frozen=True)
class Headline:
    """One run of a report, beside the others.

    Attributes:
        subject: The first `Series` whose kurtosis was regularized, else the
            first with "KURE" in its name, else the last.
        others: What it is compared with.
        margins: Those of the subject, then of the others.
        method: The PTQ method of the first screen: with margins of the step,
            else of the bits, batch norm as trained; None without any.
    """

    subject: Series
    others: tuple[Series, ...]
    margins: tuple[Margins, ...]
    method: Method | None

    @classmethod
    def of(cls, series) -> "Headline | None":
        """Returns the headline of series with measured values, else None."""
        measured = [one for one in series if one.estimates]
        if not measured:
            return None
        subject = _subject(measured)
        others = tuple(one for one in measured if one is not subject)
        found = tuple(margins(one) for one in (subject, *others))
        return cls(subject, others, found, _method(subject, found[0]))

    @property
    def verdict(self) -> str:
        """How the subject compares: at one point, then over all."""
        sentences = (self._at_one_point(), self._over_all())
        return " ".join(sentence for sentence in sentences if sentence)

    def rival(self, estimate_of):
        """Returns the best other (series, estimate), or None.

        Args:
            estimate_of: Function of a `Series` to its `Estimate` or None.
        """
        found = [(one, estimate_of(one)) for one in self.others]
        found = [(one, estimate) for one, estimate in found if estimate]

        def goodness(pair):
            return pair[1].metric.ahead(pair[1].mean, 0.0)

        return max(found, key=goodness, default=None)

    def _at_one_point(self):
        places = [
            place
            for place in _quantized(self.subject)
            if place.method == self.method
            and (not self.others or self._rival_at(place))
        ]
        if not places:
            return ""
        place = min(places, key=_distance)
        own, best = self.subject.estimates[place], self._rival_at(place)
        at = f"{labels.bits(place.point)} ({place.method.label()})"
        where = f"At {at} {self.subject.name}"
        value = own.metric.value
        if best is None:
            return f"{where} reaches {value(own.mean)} ({uncertainty(own)})."
        rival, other = best
        return (
            f"{where} is {_against(own, other, rival.name)}: "
            f"{value(own.mean)} against {value(other.mean)} "
            f"({uncertainty(own, other)})."
        )

    def _rival_at(self, place):
        return self.rival(lambda one: one.estimates.get(place))

    def _over_all(self):
        compared = [
            (self.subject.estimates[place], best[1])
            for place in _quantized(self.subject)
            if (best := self._rival_at(place)) is not None
            and self.subject.estimates[place].ahead_of(best[1])[1] is not None
        ]
        if len(compared) < 2:
            return ""
        ahead = sum(own.clearly_ahead_of(other) for own, other in compared)
        behind = sum(other.clearly_ahead_of(own) for own, other in compared)
        close = len(compared) - ahead - behind
        return (
            f"Of the {len(compared)} quantized points of the bit-width sweep "
            f"it is clearly ahead at {ahead}, clearly behind at {behind} and "
            f"too close to call at {close}; clearly means by more than two "
            "standard errors."
        )


def _subject(measured):
    for one in measured:
        if regularized_layers([one]):
            return one
    for one in measured:
        if "kure" in one.name.lower():
            return one
    return measured[-1]


def _method(subject, found):
    """Returns the first of the methods with the most to tell."""
    steps = {step.method for step in found.steps}
    bits = {bits.method for bits in found.bits}

    def worth(method):
        kept = not method.reestimated_batch_norm
        return kept, method in steps, method in bits

    return max(methods_in(_quantized(subject)), key=worth, default=None)


def _quantized(one):
    return [
        place
        for place in places_of([one])
        if place.point.weight_bits is not None and not labels.rest(place.point)
    ]


def _distance(place):
    """Sorting key: weights only, near to the headline's bits, fewer first."""
    return (
        place.point.activation_bits is not None,
        abs(place.point.weight_bits - _WEIGHT_BITS),
        place.point.weight_bits,
        bits_order(place.point)[::-1],
    )


def _against(own, other, rival):
    """Returns "clearly ahead of RIVAL by 9.4 points" and the like."""
    difference, error = own.ahead_of(other)
    if difference == 0:
        return f"level with {rival}"
    points = own.metric.points(abs(difference))
    side = "ahead of" if difference > 0 else "behind"
    text = f"{side} {rival} by {points}"
    if error is None:
        return text
    if abs(difference) > 2 * error:
        return f"clearly {text}"
    # Other seeds would turn the sign of the difference.
    return f"too close to {rival} to call"
