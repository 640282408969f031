"""What callers may give: numbers in a range, or one of several choices."""

import math
import numbers

import numpy as np


def check_choice(what, value, choices):
    """Returns `value`, or raises a ValueError unless it is among `choices`."""
    if value not in choices:
        raise ValueError(
            f"Expected {what}, one of {tuple(choices)}. Received: {value!r}."
        )
    return value


def check_kind(what, value, kind, example):
    """Returns `value`, or raises a TypeError unless it is a `kind`.

    Args:
        what: What an error calls it.
        value: What was given.
        kind: A class, or a tuple of them, of which the error names the first.
        example: One, as it is written.
    """
    if not isinstance(value, kind):
        name = (kind[0] if isinstance(kind, tuple) else kind).__name__
        raise TypeError(
            f"Expected {what} as a {name}, such as {example}. "
            f"Received: {type(value).__name__}."
        )
    return value


def check_several(what, values, example):
    """Returns `values`, or raises a TypeError unless they can be listed."""
    if not hasattr(values, "__iter__"):
        raise TypeError(
            f"Expected several {what}, such as {example}. Received: {values!r}."
        )
    return values


def check_whole(what, value, least, most=None):
    """Returns `value` as an int.

    Raises:
        TypeError: If it is no whole number.
        ValueError: If it is less than `least` or more than `most`.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(
            f"Expected {what} as an integer of {least} or more. Received: "
            f"{value!r}."
        )
    if value < least:
        raise ValueError(
            f"Expected {what} of {least} or more. Received: {value}."
        )
    if most is not None and value > most:
        raise ValueError(f"Expected {what} up to {most}. Received: {value}.")
    return int(value)


def check_real(what, value, allowed, is_allowed):
    """Returns `value` as a float.

    Args:
        what: What an error calls it.
        value: What was given.
        allowed: Which numbers may be, such as "above 0".
        is_allowed: Whether a finite number is one of those.

    Raises:
        TypeError: If it is no number.
        ValueError: If it is not finite or not allowed.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(
            f"Expected {what} {allowed}, a number. Received: {value!r}."
        )
    if not math.isfinite(value) or not is_allowed(value):
        raise ValueError(f"Expected {what} {allowed}. Received: {value!r}.")
    return float(value)


def check_not_negative(what, value):
    """Returns `value` as a float; errors are those of `check_real`."""
    return check_real(what, value, "that is not negative", lambda x: x >= 0)


def check_numbers(name, values):
    """Returns `values` as a float64 array of any shape.

    Raises:
        TypeError: If they are not real numbers.
        ValueError: If one is not finite.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"Expected {name} in numbers. Received: {values!r}.")
    array = array.astype(np.float64)
    if not np.all(np.isfinite(array)):
        raise ValueError(f"Expected {name} to be finite. Received: {values!r}.")
    return array


def check_positive(name, values):
    """Like `check_numbers`, and refuses what is not above zero."""
    array = check_numbers(name, values)
    if not np.all(array > 0):
        raise ValueError(
            f"Expected {name} to be positive. Received: {values!r}."
        )
    return array
