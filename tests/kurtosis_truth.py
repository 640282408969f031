"""Kurtosis by NumPy and SciPy."""

import numpy as np


def kurtosis_of(x):
    x = np.asarray(x, np.float64)
    d = x - x.mean()
    return np.mean(d**4) / np.mean(d**2) ** 2


def term_of(x, target=1.8):
    """Eq. 15 for one layer."""
    return (kurtosis_of(x) - target) ** 2


def make_kernel(shape, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, shape).astype(np.float32)
