"""Patterns: one text that writes many operating points."""

import decimal
import re

from kure_tf.settings.operating_point import OperatingPoint

MOST_POINTS = 10_000
"""A pattern that writes more points than this is refused."""

_NUMBER = r"-?[0-9]+(?:\.[0-9]+)?"
_RANGE = re.compile(
    rf"\s*(?:(?P<first>[0-9]+)\.\.(?P<last>[0-9]+)"
    rf"|(?P<start>{_NUMBER}):(?P<stop>{_NUMBER})(?::(?P<step>{_NUMBER}))?)\s*"
)
_SAME = re.compile(r"(?P<sign>x?)(?P<value>[^\s/]+)\s*/\s*=", re.IGNORECASE)
_BITS_ALONE = re.compile(
    r"(?P<bits>FP|[0-9]+)(?P<rest>\s+[^\s/].*)?", re.IGNORECASE
)


def points(pattern) -> list[OperatingPoint]:
    """Returns the operating points that a pattern writes, each of them once.

    Braces hold alternatives, and the pattern stands for every choice of them;
    the first ones vary slowest:

        {8,6,4}/FP                  8/FP, 6/FP, 4/FP
        {8..2}/FP                   8/FP, 7/FP, ... 2/FP
        4/FP x{0.7:1.3:0.05}        start:stop:step, both ends included
        4/FP {floor,stochastic:{0:4}}
                                    braces in braces; the step is 1 unless given
        {8..3}                      8/8, 7/7, ... 3/3: bits alone are for both
        4/4 x{0.9,1.1}/=            = repeats: 4/4 x0.9/0.9, 4/4 x1.1/1.1
        3/8 x1.02                   a point is a pattern, too

    Numbers are counted in decimals, so that 0.7:1.3:0.05 holds 1.05 and not
    1.0500000000000003.

    Args:
        pattern: Text, or an `OperatingPoint`, which is returned alone.

    Raises:
        TypeError: If `pattern` is something else.
        ValueError: If braces do not match, an alternative is empty, a range
            leads nowhere, there are more than `MOST_POINTS`, or one of the
            texts writes no operating point.

    Example:
        >>> [str(point) for point in points("{4,3}/FP x{0.9:1.1:0.2}")]
        ['4/FP x0.9', '4/FP x1.1', '3/FP x0.9', '3/FP x1.1']
    """
    if isinstance(pattern, OperatingPoint):
        return [pattern]
    if not isinstance(pattern, str):
        raise TypeError(
            "Expected a pattern of operating points as text, such as "
            f"'{{8..2}}/FP'. Received: {type(pattern).__name__}."
        )
    texts = _texts(pattern, pattern)
    return list(dict.fromkeys(_point(text, pattern) for text in texts))


def all_points(patterns) -> list[OperatingPoint]:
    """Returns the points of several patterns, in their order, each once."""
    if isinstance(patterns, (str, OperatingPoint)):
        patterns = [patterns]
    if not hasattr(patterns, "__iter__"):
        raise TypeError(
            "Expected patterns of operating points, such as ['{8..2}/FP']. "
            f"Received: {patterns!r}."
        )
    found = [point for pattern in patterns for point in points(pattern)]
    return list(dict.fromkeys(found))


def _texts(text, pattern):
    """Returns what `text`, a part of `pattern`, stands for, braces undone."""
    before, opened, rest = text.partition("{")
    if "}" in before:
        raise _wrong(pattern, "it closes a brace that is not open")
    if not opened:
        return [text]
    end = _closing(rest, pattern)
    choices = [
        choice
        for part in _parts(rest[:end])
        for choice in _choices(part, pattern)
    ]
    endings = _texts(rest[end + 1 :], pattern)
    _check_count(len(choices) * len(endings), pattern)
    return [before + one + ending for one in choices for ending in endings]


def _closing(text, pattern):
    """Returns where the brace that is open in front of `text` closes."""
    depth = 1
    for index, letter in enumerate(text):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if depth == 0:
            return index
    raise _wrong(pattern, "a brace is not closed")


def _parts(text):
    """Returns `text` cut at its commas, but for those within braces."""
    parts, depth = [""], 0
    for letter in text:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _choices(part, pattern):
    if not part.strip():
        raise _wrong(pattern, "an alternative is empty")
    match = _RANGE.fullmatch(part)
    return _texts(part, pattern) if match is None else _range(match, pattern)


def _range(match, pattern):
    """Returns the numbers of `8..3` or `0.7:1.3:0.05` as texts."""
    start = decimal.Decimal(match["first"] or match["start"])
    stop = decimal.Decimal(match["last"] or match["stop"])
    step = decimal.Decimal(match["step"] or 1)
    if match["first"] and stop < start:
        step = -step
    if step == 0 or (stop - start) / step < 0:
        raise _wrong(pattern, f"{match[0].strip()!r} never reaches its end")
    count = int((stop - start) / step) + 1
    _check_count(count, pattern)
    return [f"{start + index * step:f}" for index in range(count)]


def _check_count(count, pattern):
    if count > MOST_POINTS:
        raise _wrong(pattern, f"it writes more than {MOST_POINTS:,} points")


def _point(text, pattern):
    alone = _BITS_ALONE.fullmatch(text.strip())
    if alone:
        text = f"{alone['bits']}/={alone['rest'] or ''}"
    text = _SAME.sub(r"\g<sign>\g<value>/\g<value>", text)
    try:
        return OperatingPoint.parse(text)
    except ValueError as error:
        if text == pattern:
            raise
        raise ValueError(f"{error} It is part of {pattern!r}.") from None


def _wrong(pattern, why):
    return ValueError(
        "Expected a pattern of operating points, such as '{8..2}/FP', "
        "'{4,3}/FP x{0.7:1.3:0.05}' or '4/FP {floor,stochastic:{0:4}}'. "
        f"Received: {pattern!r}: {why}."
    )
