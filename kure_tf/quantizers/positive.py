"""The constraint that keeps trained step sizes positive."""

import tensorflow as tf

from kure_tf.compat import keras, register_serializable

SMALLEST_STEP = 1e-8
"""A trained step size at or below it has collapsed: training stops."""


@register_serializable("kure_tf")
class Positive(keras.constraints.Constraint):
    """Keeps a step size at `smallest` or above, after each update.

        step_size <- max(step_size, smallest)

    The step size itself is the variable (not its logarithm), so that its
    gradient is the one of the paper that trains it. NaN stays NaN.

    Args:
        smallest: Positive number, in the unit of the step size.

    Raises:
        ValueError: If `smallest` is not positive.
    """

    def __init__(self, smallest=SMALLEST_STEP):
        if not smallest > 0:
            raise ValueError(
                "Expected a smallest step size above 0. Received: "
                f"{smallest!r}."
            )
        self.smallest = float(smallest)

    def __call__(self, w):
        return tf.maximum(w, tf.cast(self.smallest, w.dtype))

    def get_config(self):
        return {"smallest": self.smallest}
