"""Whether the weights of a model look as they were first drawn."""

import warnings

import numpy as np

from kure_tf import compat

# What layers begin with, and training moves at once.
_START = {
    "bias": 0.0,
    "beta": 0.0,
    "gamma": 1.0,
    "moving_mean": 0.0,
    "moving_variance": 1.0,
}


def looks_untrained(model) -> bool:
    """Returns whether all biases and batch-norm variables are as layers begin.

    A model without any says nothing of itself: False.
    """
    known = [
        (_START[name], variable)
        for variable in model.weights
        if (name := _last(variable.name)) in _START
    ]
    return bool(known) and all(
        np.all(compat.to_numpy(variable) == start) for start, variable in known
    )


def warn_if_untrained(model):
    """Warns if the weights of a model look as they were first drawn."""
    if looks_untrained(model):
        warnings.warn(
            f"The weights of {model.name!r} look untrained: every bias and "
            "every batch-norm variable is what its layer begins with. A sweep "
            "of such a model says nothing. Train it, or load its weights "
            "first.",
            stacklevel=3,
        )


def _last(path):
    return path.rpartition("/")[2].partition(":")[0]
