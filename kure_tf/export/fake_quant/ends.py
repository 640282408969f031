"""The ends that make TFLite's converter find a given scale."""

import itertools

import numpy as np


def fake_quant_ends(scales, low, high):
    """Returns float32 `(min, max)` of the FakeQuant operator of a grid.

    The converter computes `(max - min) / (high - low)` in float64 and stores
    it in float32. With `low * scale` and `high * scale`, rounded to float32,
    it may miss the scale by its last bit; one of the ends then moves by its
    own last bit, and an end at zero by half of the other's. Both the converter
    and the operator move zero onto a level again.

    Args:
        scales: Float32 scalar or array.
        low, high: The lowest and the highest level, low <= 0 < high.

    Returns:
        Two float32 arrays of the shape of `scales`.
    """
    scales = np.asarray(scales, np.float32)
    width = (high - low) * scales
    lows, highs = _near(low * scales, width), _near(high * scales, width)
    lowest, highest = lows[0], highs[0]
    found = _scale(lowest, highest, high - low) == scales
    for one, other in itertools.product(lows, highs):
        better = ~found & (_scale(one, other, high - low) == scales)
        lowest = np.where(better, one, lowest)
        highest = np.where(better, other, highest)
        found |= better
    return lowest, highest


def _near(ends, width):
    """Returns the ends in float32, and numbers next to them."""
    ends = ends.astype(np.float32)
    below, above = (
        np.nextafter(ends, np.float32(side)) for side in (-np.inf, np.inf)
    )
    half = np.spacing(width) / 2
    return (
        ends,
        np.where(ends == 0, -half, below),
        np.where(ends == 0, 0, above),
    )


def _scale(lowest, highest, steps):
    width = highest.astype(np.float64) - lowest.astype(np.float64)
    return (width / steps).astype(np.float32)
