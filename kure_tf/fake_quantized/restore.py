"""Putting a model back to how it stood."""

import contextlib

from kure_tf import compat


@contextlib.contextmanager
def keeping(model):
    """Puts all weights of `model` back when it closes, however it ended.

    Kernels and biases, batch-norm statistics, and all that its quantizers
    hold: step sizes, bits, step ratios and rounding modes. So trained step
    sizes survive a search, and the operating point a sweep.

    It costs a read and a write of each variable: hold it around a search, not
    around each of its steps.

    Args:
        model: A built model, fake-quantized or not.

    Example:
        >>> with keeping(model):
        ...     apply(model, setting)
        ...     model.evaluate(test)
    """
    # Tensors, not arrays: nothing is copied until a variable is written.
    kept = [(v, compat.full_precision(v)) for v in model.weights]
    try:
        yield
    finally:
        for variable, value in kept:
            compat.tf_variable(variable).assign(value)
