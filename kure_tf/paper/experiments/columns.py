"""Which column of a table, or point of a curve, a measured row belongs to."""

from kure_tf.settings.operating_point import OperatingPoint


def weight_bits(activation_bits=None):
    """Returns the columns of weights at any bits: "FP" or "W4"."""

    def column(row):
        bits = row.point.weight_bits
        if not _is_at(row, OperatingPoint(bits, activation_bits)):
            return None
        return "FP" if bits is None else f"W{bits}"

    return column


def any_bits(row) -> str | None:
    """Returns "FP", "4/FP" or "4/4" for plain points, else None."""
    point = row.point
    bits = OperatingPoint(point.weight_bits, point.activation_bits)
    if not _is_at(row, bits):
        return None
    return "FP" if point.in_float else str(point)


def step_ratio(weight_bits, activation_bits=None, *, parity=False):
    """Returns the columns of step ratios at one bit-width, such as "1.05".

    With `parity` the rows are those of the reference code's grid.
    """

    def column(row):
        ratio = row.point.step_scale
        at = OperatingPoint(weight_bits, activation_bits, step_scale=ratio)
        return f"{ratio:.3g}" if _is_at(row, at, parity) else None

    return column


def power_of_two(row) -> str | None:
    """Returns "W4", or "W4 pow2" for steps at the nearest power of two."""
    bits = row.point.weight_bits
    for rounding, more in ((None, ""), ("nearest", " pow2")):
        if bits and _is_at(row, OperatingPoint(bits, step_rounding=rounding)):
            return f"W{bits}{more}"
    return None


def _is_at(row, point, parity=False):
    """Whether a row is that of the whole model at a point."""
    return (
        row.point == point
        and (row.sweep == "reference_parity") == parity
        and row.layer is None
        and row.calibration_seed is None
    )
