"""Putting a model back to how it stood."""

import contextlib

from kure_tf import compat


@contextlib.contextmanager
def keeping(model):
    """Puts all weights of `model` back when it closes, however it ended.

    Kernels and biases, batch-norm statistics, and all that its quantizers
    hold: step sizes, bits, step ratios and rounding modes. So trained step
    sizes survive a search, and the operating point a sweep.

    On a CPU it holds a copy of those weights alone that change meanwhile.

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
    weights = [w for w in model.weights if hasattr(w, "assign")]  # No tables.
    kept = [(weight, compat.full_precision(weight)) for weight in weights]
    try:
        yield
    finally:
        for weight, value in kept:
            weight.assign(value)
