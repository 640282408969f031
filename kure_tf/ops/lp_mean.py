"""The size of errors by an Lp norm, for any p."""

import numpy as np

_MANY = 1 << 8  # Values side by side from which on BLAS is quicker.


def lp_mean(errors, p, weights=None) -> np.ndarray:
    """Returns (E|e|^p)^(1/p) along the last axis.

    Powers are taken of the errors over the largest of them: 0.05^300 is no
    number that float64 holds. p = inf gives the largest |e|.

    Args:
        errors: Floating-point array; it is overwritten.
        p: The norm, positive, or infinity.
        weights: Share of each value along the last axis; None for equal ones.
    """
    if p == 2 and weights is None:  # One pass.
        return np.sqrt(_sum_of_squares(errors) / errors.shape[-1])
    np.abs(errors, out=errors)
    largest = errors.max(axis=-1, keepdims=True)
    if p == np.inf:
        return largest[..., 0]
    errors /= np.where(largest > 0, largest, 1)
    powers = errors**p
    mean = powers.mean(axis=-1) if weights is None else powers @ weights
    return mean ** (1.0 / p) * largest[..., 0]


def _sum_of_squares(errors):
    count = errors.shape[-1]
    if count >= _MANY and errors.strides[-1] == errors.itemsize:
        return np.vecdot(errors, errors)
    return np.einsum("...n,...n->...", errors, errors)
