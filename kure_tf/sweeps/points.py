"""Lists of operating points that sweeps go through."""

from kure_tf.settings.operating_point import OperatingPoint

RATIOS = tuple(round(0.70 + 0.05 * i, 2) for i in range(13))


def bit_width_points(
    weights_only=(8, 7, 6, 5, 4, 3, 2), both=(8, 7, 6, 5, 4, 3), *, fp=True
):
    """Returns float, then weights-only points, then equal W/A ones.

    Args:
        weights_only: Weight bits of the points "b/FP".
        both: Bits of the points "b/b"; empty for none.
        fp: Whether the float point "FP/FP" comes first.
    """
    return [
        *([OperatingPoint()] if fp else []),
        *(OperatingPoint(bits, None) for bits in weights_only),
        *(OperatingPoint(bits, bits) for bits in both),
    ]


def step_size_points(weight_bits, activation_bits=None, *, ratios=RATIOS):
    """Returns points whose step size is `ratio` times the calibrated one.

    Args:
        weight_bits: Bits of the weights, whose steps are scaled.
        activation_bits: Bits of the activations, None for float.
        ratios: The ratios; 0.70 to 1.30 in steps of 0.05 unless given.
    """
    return [
        OperatingPoint(weight_bits, activation_bits, step_scale=ratio)
        for ratio in ratios
    ]
