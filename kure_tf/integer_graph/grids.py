"""Quantizers' grids and measured ranges as int8 codes."""

import dataclasses

import numpy as np
from scipy.special import expit

from kure_tf import compat
from kure_tf.integer_graph.graph import Quantization
from kure_tf.ops.rounding import NEAREST

_NEAR = 1e-4  # Codes. Functions in float32 are off by half of that at most.
_TRIALS = 100  # One of 20 steps has a code that is so near a middle.


def quantization_of(hosted, layer_name) -> Quantization:
    """Returns the codes of an activation that is quantized just now.

    A grid `low..high` of n levels becomes the codes 128 - n .. 127. One of 8
    bits and 255 levels, "narrow", is left room for: the device saturates at
    -128, one level below the grid's own end.

    Args:
        hosted: The `HostedTensor` of the activation.
        layer_name: What errors call the layer.

    Raises:
        ValueError: If int8 codes cannot hold the grid, or if it does not
            round to the nearest level.
    """
    quantizer, state = hosted.quantizer, hosted.state
    if not quantizer.follows_state or quantizer.grid.offset:
        raise ValueError(
            "Expected activations on a grid that int8 codes can hold: levels "
            "that are whole multiples of the step size. Received: the grid "
            f"{quantizer.grid.name!r} at the input of {layer_name!r}. Use "
            "'signed_or_unsigned' or 'asymmetric'."
        )
    if compat.to_numpy(state.rounding_mode) != NEAREST:
        raise ValueError(
            "Expected activations that round to the nearest level, as a "
            f"device does. Those of {layer_name!r} round otherwise: leave the "
            "rounding mode out of the operating point."
        )
    step_size = quantizer.step_size(state)
    low, high = (
        int(end) for end in quantizer.levels_in_force(state, step_size)
    )
    if high - low > 255:
        raise ValueError(
            "Expected at most 256 levels, which is what int8 codes hold. "
            f"Received: {high - low + 1} at the input of {layer_name!r}. "
            "Use an operating point of 8 bits or fewer."
        )
    zero_point = 127 - high
    lowest = zero_point + low
    scale = np.float32(step_size)
    return Quantization(
        float(scale), zero_point, -128 if lowest == -127 else lowest
    )


def quantization_of_range(lowest, highest) -> Quantization:
    """Returns 256 codes from `lowest` to `highest`, zero among them."""
    low, high = min(float(lowest), 0.0), max(float(highest), 0.0)
    scale = np.float32(max(high - low, 1e-8) / 255.0)
    zero_point = int(np.clip(np.rint(-low / scale) - 128, -128, 127))
    return Quantization(float(scale), zero_point)


FUNCTIONS = {
    "LOGISTIC": lambda values: 256 * expit(values),
    "TANH": lambda values: 128 * np.tanh(values),
}
"""`{operator: function of its input in codes of its output}`."""


def clear_of_ties(quantization, functions) -> Quantization:
    """Returns codes that some functions take to no middle of two codes.

    There the last bit of a function decides, in which libraries differ, and so
    devices. The step grows by a hundred-thousandth until nothing is near one.

    Args:
        quantization: The codes.
        functions: Names in `FUNCTIONS`.
    """
    levels = np.arange(-128, 128) - quantization.zero_point
    for growth in range(_TRIALS):
        scale = np.float32(quantization.scale * (1 + 1e-5 * growth))
        values = levels * np.float64(scale)
        results = [FUNCTIONS[name](values) % 1 for name in functions]
        if all((np.abs(result - 0.5) > _NEAR).all() for result in results):
            break
    return dataclasses.replace(quantization, scale=float(scale))
