"""Batch-norm statistics as data."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)  # It holds arrays.
class BatchNormStatistics:
    """What one batch-norm layer normalizes with in inference.

    Attributes:
        mean: Array of the shape of the layer's `moving_mean`.
        variance: Likewise for its `moving_variance`; not negative.
    """

    mean: np.ndarray
    variance: np.ndarray
