"""Tensors whose best step sizes are hard to find, and errors by brute force."""

import numpy as np

from kure_tf.ops import GRIDS


def _tensors():
    rng = np.random.default_rng(0)
    return {
        "normal": rng.normal(size=600),
        "uniform": rng.uniform(-1, 1, 600),
        "laplace": rng.laplace(size=600),
        "heavy_tailed": rng.standard_t(2, 600),
        "kure_like": rng.uniform(-1, 1, 600) + rng.normal(0, 0.03, 600),
        "constant": np.full(50, 0.3),
        "few_valued": rng.choice([-0.5, 0.0, 0.1, 0.37, 1.0], 600),
        "ternary": rng.choice([-0.7, 0.0, 0.7], 500),
        "whole_numbers": rng.choice([-2.0, -1.0, 0.0, 1.0, 2.0], 500),
        "nine_weights": rng.normal(size=9),  # A depthwise channel.
        "many_weights": rng.standard_t(3, 30_000),
    }


TENSORS = _tensors()


def brute_force_errors(x, step_sizes, levels, offset, p):
    """Returns E|x - Q(x)|^p in float64: a pass over all values per step."""
    x = x.astype(np.float32).astype(np.float64)
    errors = []
    for step_size in step_sizes:
        codes = np.clip(np.round(x / step_size - offset), *levels)
        errors.append(np.mean(np.abs(x - (codes + offset) * step_size) ** p))
    return np.array(errors)


def problem(x, name, bits):
    grid = GRIDS[name]
    levels = grid.levels(bits)
    return levels, grid.offset, np.abs(x).max() / grid.extent(bits)
