"""Numbers with an uncertainty, one side of a comparison: by series, column."""

import dataclasses
import math
import statistics


@dataclasses.dataclass(frozen=True)
class Value:
    """One number.

    Attributes:
        mean: The number; accuracies in %.
        standard_error: In the same unit; 0 where none is known.
        standard_deviation: Over seeds; None for one of them.
    """

    mean: float
    standard_error: float = 0.0
    standard_deviation: float | None = None

    def ahead_of(self, other) -> tuple[float, float]:
        """Returns by how much it is larger, and the error of that.

        The two are treated as independent.
        """
        error = math.hypot(self.standard_error, other.standard_error)
        return self.mean - other.mean, error


def accuracy(fractions, images) -> Value:
    """Returns the mean of accuracies (0..1), in %, with its standard error.

        error^2 = a (1 - a) / images + s^2 / n

    with s the standard deviation over n seeds, none for one of them.

    Args:
        fractions: One accuracy per seed.
        images: How many images each was measured on.
    """
    mean = statistics.fmean(fractions)
    error, deviation = math.sqrt(mean * (1 - mean) / images), None
    if len(fractions) > 1:
        deviation = statistics.stdev(fractions)
        error = math.hypot(error, deviation / math.sqrt(len(fractions)))
        deviation *= 100
    return Value(100 * mean, 100 * error, deviation)


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


def in_order(columns, axis) -> list[str]:
    """Returns columns as an axis has them: ratios rise, bits fall after FP."""
    keys = {"ratio": float, "bits": _falling_bits}
    return sorted(columns, key=keys[axis]) if axis in keys else list(columns)


def _falling_bits(column):
    return 0 if column == "FP" else 100 - int(column.removeprefix("W"))
