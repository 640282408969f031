"""Whether a dtype holds numbers, which a cast would wrap around."""

import numpy as np


def check_held(numbers, dtype, what):
    """Raises a ValueError if a dtype does not hold whole numbers.

    A cast would wrap them around.

    Args:
        numbers: Tensor or array.
        dtype: A `tf.DType` of integers.
        what: What errors call them.
    """
    numbers = np.asarray(numbers)
    if not numbers.size or numbers.dtype == bool:
        return
    low, high = numbers.min(), numbers.max()
    if low < dtype.min or high > dtype.max:
        raise ValueError(
            f"Expected {what} that {dtype.name} holds, from {dtype.min} to "
            f"{dtype.max}. Received: {low} to {high}. Map them to smaller "
            "numbers in front of the model."
        )
