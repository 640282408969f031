"""Claims about the shape of a figure or table, checked on both sides."""

import dataclasses
import itertools
import statistics

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


def _judged(lead, sign=1.0):
    """Returns whether a lead, given with its error, has the sign expected."""
    difference, error = lead
    if abs(difference) <= 2 * error:
        return TOO_CLOSE
    return AGREES if difference * sign > 0 else DIFFERS


def _largest_first(values):
    return sorted(values, key=lambda name: -values[name].mean)


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
        words = f"{'ahead' if sign > 0 else 'behind'} by its words"
        paper = words if theirs is None else self._text(theirs)
        return Verdict(
            f"{sentence}paper {paper}, here {self._text(ours)}.",
            _judged(ours, sign),
        )

    def _lead(self, side):
        """Returns the lead and its error, None without a shared column."""
        ours = side.get(self.subject, {})
        theirs = side.get(self.rival, {})
        leads = [
            ours[column].ahead_of(theirs[column])
            for column in ours
            if column in theirs and self._is_at(column)
        ]
        if not leads:
            return None
        return tuple(
            statistics.fmean(each) for each in zip(*leads, strict=True)
        )

    def _is_at(self, column):
        if self.at is None:
            return True
        return self.at(column) if callable(self.at) else column in self.at

    def _text(self, lead):
        if self.unit == "points":
            return f"{lead[0]:+.1f} points"
        return f"{lead[0]:+.3g} {self.unit}".rstrip()


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
        theirs, ours = self._values(published), self._values(measured)
        missing = [name for name in self.series if name not in ours]
        if missing:
            text = f"{where}: not measured for {', '.join(missing)}."
            return Verdict(text, NOT_MEASURED)
        paper, here = self.series, _largest_first(ours)
        if len(theirs) == len(self.series):
            paper = _largest_first(theirs)
        pairs = {
            _judged(ours[first].ahead_of(ours[second]))
            for first, second in itertools.combinations(paper, 2)
        }
        return Verdict(
            f"{where}: paper {' > '.join(paper)}; here {' > '.join(here)}.",
            next(v for v in (DIFFERS, TOO_CLOSE, AGREES) if v in pairs),
        )

    def _values(self, side):
        return {
            name: side[name][self.column]
            for name in self.series
            if self.column in side.get(name, {})
        }


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
        if ours is None or ours.standard_deviation is None:
            return Verdict(f"{where}: one seed or none.", NOT_MEASURED)
        theirs = published[self.series][self.column]
        return Verdict(
            f"{where}: paper {_scattered(theirs)}, here {_scattered(ours)}.",
            AGREES if ours.standard_deviation <= self.limit else DIFFERS,
        )


def _scattered(value):
    return f"{value.mean:.1f} +- {value.standard_deviation:.2f} %"
