"""Numbers with an uncertainty, one side of a comparison: by series, column."""

import dataclasses
import math
import statistics

from kure_tf.pages.estimate import Estimate


@dataclasses.dataclass(frozen=True)
class Value:
    """One number.

    Attributes:
        mean: The number; accuracies in %.
        error: Its standard error, in the same unit; 0 where none is known.
        deviation: Standard deviation over seeds; None for one of them.
    """

    mean: float
    error: float = 0.0
    deviation: float | None = None


def accuracy(fractions, images) -> Value:
    """Returns the mean of accuracies (0..1), in %, with its standard error.

        error^2 = a (1 - a) / images + s^2 / n

    with s the standard deviation over n seeds, none for one of them.

    Args:
        fractions: One accuracy per seed.
        images: How many images each was measured on.
    """
    mean = statistics.fmean(fractions)
    error = math.sqrt(mean * (1 - mean) / images)
    errors = (error,) * len(fractions)
    found = Estimate(tuple(fractions), errors, images)
    deviation = found.deviation
    return Value(
        100 * found.mean,
        100 * found.standard_error,
        None if deviation is None else 100 * deviation,
    )


def columns_of(*sides) -> tuple[str, ...]:
    """Returns all columns of sides, in order of first appearance."""
    return tuple(
        dict.fromkeys(
            column
            for side in sides
            for values in side.values()
            for column in values
        )
    )
