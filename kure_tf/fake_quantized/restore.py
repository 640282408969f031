"""Putting a model back to how it stood."""

import contextlib

from kure_tf import compat


@contextlib.contextmanager
def keeping(model):
    """Puts all weights of `model` back when it closes, however it ended.

    Kernels and biases, batch-norm statistics, and all that its quantizers
    hold: step sizes, bits, step ratios and rounding modes. So trained step
    sizes survive a search, and the operating point a sweep.

    It costs a copy of the weights when it opens and one when it closes: hold
    it around a search, not around each of its steps.

    Args:
        model: A built model, fake-quantized or not.

    Raises:
        TypeError: If `model` is something else.

    Example:
        >>> with keeping(model):
        ...     apply(model, setting)
        ...     model.evaluate(test)
    """
    if not hasattr(model, "weights"):
        raise TypeError(
            f"Expected a Keras model. Received: {type(model).__name__}."
        )
    kept = [(variable, compat.to_numpy(variable)) for variable in model.weights]
    try:
        yield
    finally:
        for variable, value in kept:
            variable.assign(value)
