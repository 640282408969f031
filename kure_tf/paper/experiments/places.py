"""Which cell of a table or point of a curve a measured row belongs to."""

from kure_tf.pages import labels
from kure_tf.settings.operating_point import OperatingPoint


def weight_bits(row) -> str | None:
    """Returns "FP" or "W4" for plain weights-only points, else None."""
    plain = _is_plain(row) and row.point.activation_bits is None
    return labels.short_point(row.point.weight_bits, None) if plain else None


def any_bits(row) -> str | None:
    """Returns "FP", "4/FP" or "4/4" for plain points, else None."""
    if not _is_plain(row):
        return None
    return "FP" if row.point.in_float else str(row.point)


def weight_bits_at(activation_bits):
    """Returns a place function for weights at any bits, activations at these.

    The float weights are the place "FP".
    """

    def place(row):
        if not _is_plain(row) or row.point.activation_bits != activation_bits:
            return None
        return labels.short_point(row.point.weight_bits, None)

    return place


def step_ratio(bits, activation_bits=None, sweep=None):
    """Returns a place function for step ratios at one bit-width.

    Args:
        bits: Of the weights.
        activation_bits: Of the activations.
        sweep: Only rows of this sweep; None: of any but "reference_parity".
    """

    def place(row):
        if (row.sweep == "reference_parity") != (sweep == "reference_parity"):
            return None
        point = row.point
        at = (point.weight_bits, point.activation_bits, point.step_rounding)
        if at != (bits, activation_bits, None) or row.layer is not None:
            return None
        return f"{point.step_scale:.3g}"

    return place


def power_of_two(row) -> str | None:
    """Returns "W4", or "W4 pow2" for steps at the nearest power of two."""
    point = row.point
    if point.activation_bits is not None or point.weight_bits is None:
        return None
    if point.step_rounding == "nearest" and point.step_scale == 1.0:
        return f"W{point.weight_bits} pow2"
    return weight_bits(row)


def _is_plain(row):
    bits = (row.point.weight_bits, row.point.activation_bits)
    return (
        row.point == OperatingPoint(*bits)
        and row.layer is None
        and row.calibration_seed is None
        and row.sweep in ("bit_width", "step_size")
    )
