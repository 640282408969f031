"""Turns values into plain ones, which JSON can carry and anybody can read."""

import math
import numbers
import pathlib


def plain(value, name="value"):
    """Returns `value` as None, bool, int, float, str, list or dict.

    NumPy scalars and arrays become numbers and lists, tuples become lists,
    paths and the keys of dictionaries become text. A number that is not
    finite becomes None ("not available"), since JSON has no word for it.

    Args:
        value: Anything made of these.
        name: What an error calls it.

    Raises:
        TypeError: If there is something else in it.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, dict):
        return {
            str(key): plain(item, f"{name}[{str(key)!r}]")
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{name}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, pathlib.PurePath):
        return str(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # NumPy's arrays and booleans.
        return plain(value.tolist(), name)
    raise TypeError(
        f"Expected {name} to be made of numbers, text, lists and "
        f"dictionaries. Received: {type(value).__name__}."
    )
