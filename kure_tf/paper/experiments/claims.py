"""Claims about the shape of a figure or table, checked on both sides."""

import dataclasses
import itertools
import math

AGREES = "agrees"
DIFFERS = "differs"
TOO_CLOSE = "too close to call"
NOT_MEASURED = "not measured"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What came of one claim.

    Attributes:
        text: One sentence with the numbers of both sides.
        verdict: AGREES, DIFFERS, TOO_CLOSE (the measured difference is within
            two standard errors) or NOT_MEASURED.
    """

    text: str
    verdict: str


@dataclasses.dataclass(frozen=True)
class Lead:
    """How far one series is ahead of another, in the mean over some columns.

        lead  = mean over columns of (subject - rival)
        error = mean over columns of sqrt(error of subject^2 + of rival^2)

    The columns are the same two models on the same images, so their errors do
    not average out: the mean is the bound for full correlation.

    The measured side agrees where its lead has the sign of the published one
    and is beyond two standard errors.

    Attributes:
        subject, rival: Names of the series.
        where: What the sentence says of the columns.
        at: Columns, or a function of a column; None: all.
        unit: Of the values; the default is that of accuracies.
        expected: The sign of the lead where no numbers are published: what
            the paper says in words.
    """

    subject: str
    rival: str
    where: str
    at: object = None
    unit: str = "points"
    expected: float | None = None

    def check(self, published, measured) -> Verdict:
        """Returns the verdict on two `{series: {column: Value}}`."""
        theirs, ours = self._lead(published), self._lead(measured)
        sentence = f"{self.where}, {self.subject} over {self.rival}: "
        if ours is None:
            return Verdict(f"{sentence}not measured.", NOT_MEASURED)
        sign = self.expected if theirs is None else theirs[0]
        if sign is None:
            return Verdict(f"{sentence}nothing published.", NOT_MEASURED)
        paper = (
            ("ahead" if sign > 0 else "behind") + " by its words"
            if theirs is None
            else self._text(*theirs)
        )
        mean, error = ours
        verdict = AGREES if mean * sign > 0 else DIFFERS
        if abs(mean) <= 2 * error:
            verdict = TOO_CLOSE
        return Verdict(
            f"{sentence}paper {paper}, here {self._text(*ours)}.", verdict
        )

    def _lead(self, side):
        if self.subject not in side or self.rival not in side:
            return None
        ours, theirs = side[self.subject], side[self.rival]
        shared = [
            column
            for column in ours
            if column in theirs and self._is_at(column)
        ]
        if not shared:
            return None
        lead = math.fsum(ours[c].mean - theirs[c].mean for c in shared)
        errors = [math.hypot(ours[c].error, theirs[c].error) for c in shared]
        return lead / len(shared), math.fsum(errors) / len(shared)

    def _is_at(self, column):
        if self.at is None:
            return True
        return self.at(column) if callable(self.at) else column in self.at

    def _text(self, mean, error):
        if self.unit == "points":
            return f"{mean:+.1f} points"
        return f"{mean:+.3g} {self.unit}".rstrip()


@dataclasses.dataclass(frozen=True)
class Order:
    """The order of several series in one column, the largest first.

    It agrees where each is ahead of the next, in the published order, by
    more than two standard errors; it differs where a pair is the other way
    round by as much; otherwise it is too close to call.

    Attributes:
        series: Their names, in the order that the paper gives in words, where
            no numbers are published.
        column: Where.
        what: What the sentence calls the value there.
    """

    series: tuple[str, ...]
    column: str
    what: str = "accuracy"

    def check(self, published, measured) -> Verdict:
        """Returns the verdict on two `{series: {column: Value}}`."""
        where = f"Order of the {self.what} at {self.column}"
        missing = [
            name for name in self.series if not self._has(measured, name)
        ]
        if missing:
            text = f"{where}: not measured for {', '.join(missing)}."
            return Verdict(text, NOT_MEASURED)
        theirs = self.series
        if all(self._has(published, name) for name in self.series):
            theirs = self._sorted(published)
        ours = self._sorted(measured)
        text = f"{where}: paper {' > '.join(theirs)}; here {' > '.join(ours)}."
        wrong, close = self._unsettled_pairs(theirs, measured)
        if wrong:
            return Verdict(text, DIFFERS)
        return Verdict(text, TOO_CLOSE if close else AGREES)

    def _has(self, side, name):
        return self.column in side.get(name, {})

    def _sorted(self, side):
        return sorted(
            self.series, key=lambda name: -side[name][self.column].mean
        )

    def _unsettled_pairs(self, order, side):
        """Returns how many pairs are clearly reversed, and how many close."""
        wrong = close = 0
        for first, second in itertools.combinations(order, 2):
            a, b = side[first][self.column], side[second][self.column]
            clear = abs(a.mean - b.mean) > 2 * math.hypot(a.error, b.error)
            wrong += clear and a.mean < b.mean
            close += not clear
        return wrong, close


@dataclasses.dataclass(frozen=True)
class Scatter:
    """The standard deviation of one accuracy over seeds.

    It agrees where it is at most `limit` points: small beside the leads that
    the paper claims.

    Attributes:
        series, column: Which accuracy.
        limit: In points.
    """

    series: str
    column: str
    limit: float = 0.5

    def check(self, published, measured) -> Verdict:
        """Returns the verdict on two `{series: {column: Value}}`."""
        where = f"{self.series} at {self.column} over seeds"
        ours = measured.get(self.series, {}).get(self.column)
        if ours is None or ours.deviation is None:
            return Verdict(f"{where}: one seed or none.", NOT_MEASURED)
        theirs = published[self.series][self.column]
        return Verdict(
            f"{where}: paper {theirs.mean:.1f} +- {theirs.deviation:.2f} %, "
            f"here {ours.mean:.1f} +- {ours.deviation:.2f} %.",
            AGREES if ours.deviation <= self.limit else DIFFERS,
        )
