"""Functions of one int8 code, as tables of 256 of them.

The kernel sets differ where a result is within some 1e-5 of the middle between
two codes: how they compute and round decides there. The last bit of tanh and
erf is that of the device's own library, which may round the other way where a
result is as near as that bit: one of a million entries of a table. Ranges that
are measured are chosen so that TANH and LOGISTIC have none (`clear_of_ties`).
"""

import math

import numpy as np

from kure_tf.export.kernel_sets.fixed_point import multiplier_of


def table_of(kind, x, y) -> np.ndarray:
    """Returns what TFLite's own kernels make of the codes -128..127.

    Results in float32, times the inverse of the scale; halves go away from 0.

    Args:
        kind: "ELU", "GELU", "HARD_SWISH", "LOGISTIC" or "TANH".
        x, y: `Quantization` of its input and of its output.
    """
    if kind == "HARD_SWISH":
        levels = np.arange(-128, 128) - x.zero_point
        return _codes(_hard_swish(levels, x, y))
    function = {**_FUNCTIONS, "LOGISTIC": _logistic_of_floats}[kind]
    scaled = np.float64(_scaled(function, x, y))
    rounded = np.copysign(np.floor(np.abs(scaled) + 0.5), scaled)
    return _codes(rounded + y.zero_point)


def xnnpack_table_of(kind, x, y) -> np.ndarray:
    """Likewise for XNNPACK's ELU, LOGISTIC and TANH.

    They add the zero point in float32, before halves go to even.
    """
    scaled = _scaled(_FUNCTIONS[kind], x, y)
    return _codes(np.rint(scaled + np.float32(y.zero_point)))


def _scaled(function, x, y):
    """Returns results for all codes in float32, in units of y.scale."""
    levels = np.arange(-128, 128) - x.zero_point
    values = levels * np.float32(x.scale)
    results = [function(float(np.float32(value))) for value in values]
    return np.float32(results) * (np.float32(1) / np.float32(y.scale))


def _codes(codes):
    return np.clip(codes, -128, 127).astype(np.int8)


def _gelu(value):
    return value / 2 * (1 + math.erf(value / math.sqrt(2)))


def _logistic(value):
    return 1 / (1 + math.exp(-max(value, -500.0)))


def _logistic_of_floats(value):
    """Computed in float32 at each step."""
    power = np.float32(math.exp(min(-value, 88.0)))
    return np.float32(1) / (np.float32(1) + power)


def _elu(value):
    return math.expm1(value) if value < 0 else value


_FUNCTIONS = {
    "ELU": _elu,
    "GELU": _gelu,
    "LOGISTIC": _logistic,
    "TANH": math.tanh,
}


def _hard_swish(levels, x, y):
    """x / 6 min(max(x + 3, 0), 6) in 16 bits, as TFLite's reference has it."""
    fine = levels * 128
    unit = np.float32(x.scale) * np.float32(1 / 128)
    by_output, output_shift = _multiplier_of_16_bits(unit / np.float32(y.scale))
    by_three, shift = _multiplier_of_16_bits(unit / np.float32(3 / 2**15))
    value = _upper_half(fine, by_output)
    # 1 + x / 3, saturated to -1 .. 1 at 2^15 and then moved to 0 .. 1.
    gate = _upper_half(_saturated(fine << max(shift - 1, 0)), by_three)
    gate = _saturated(gate << min(max(shift, 0), 1))
    gate = (_half_away(gate, max(-shift, 0)) + 2**15) >> 1
    product = gate * value
    product = np.sign(product) * (np.abs(product) >> 15)
    return _half_away(product, -output_shift) + y.zero_point


def _multiplier_of_16_bits(ratio):
    q, exponent = multiplier_of(np.float64(ratio))
    return min((int(q) + 2**15) >> 16, 2**15 - 1), int(exponent)


def _upper_half(a, b):
    """Returns a b / 2^15, halves up."""
    return _saturated((a * b + 2**14) >> 15)


def _saturated(x):
    return np.clip(x, -(2**15), 2**15 - 1)


def _half_away(x, right):
    half = (1 << right) >> 1
    return (x - ((x < 0) & (right > 0)) + half) >> right
