"""Features of an input that one step for all of them leaves little of."""

import warnings

import numpy as np

_FEWEST = 8  # Codes: what 3 bits tell apart.


def warn_of_lost_features(value, quantization):
    """Warns of features of an input that span a few of its codes.

    The fake-quantized model does not show it where it normalizes them first.

    Args:
        value: The `Value` of the input, after `measure`.
        quantization: Its codes; None for indices. Those of fewer than 8 bits
            are what the model itself reads.
    """
    if quantization is None or quantization.lowest > -128:
        return
    low, high = (np.float64(end).ravel() for end in value.features)
    codes = (high - low) / quantization.scale
    lost = np.flatnonzero((codes > 0) & (codes < _FEWEST))
    if not lost.size:
        return
    worst = lost[codes[lost].argmin()]
    warnings.warn(
        f"All features of the input {value.name!r} share one step of int8 "
        f"codes, {quantization.scale:.3g}. On the calibration examples "
        f"{lost.size} of {codes.size} span fewer than {_FEWEST} codes; feature "
        f"{worst}, from {low[worst]:.3g} to {high[worst]:.3g}, spans "
        f"{codes[worst]:.2g}. The file loses what they say. Scale features to "
        "one size in front of the model, not by a Normalization inside.",
        stacklevel=3,
    )
