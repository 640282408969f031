"""What the theory accepts: bits 1..8, and steps up to where a formula holds."""

import numbers

import numpy as np

MAX_BITS = 8  # As far as the paper goes, and as its check values.


def check_bits(bits):
    """Returns `bits` as an int.

    Raises:
        TypeError: If it is not a whole number.
        ValueError: If it is not in 1..8.
    """
    if isinstance(bits, bool) or not isinstance(bits, numbers.Integral):
        raise TypeError(
            "Expected bits to be a whole number in 1..8. "
            f"Received: {bits!r} ({type(bits).__name__})."
        )
    if not 1 <= bits <= MAX_BITS:
        raise ValueError(
            f"Expected bits in 1..{MAX_BITS}, the range of the theory. "
            f"Received: {bits}. For a tensor at other bit-widths, search the "
            "step size: kure_tf.ops.step_search.best_step_size."
        )
    return int(bits)


def check_at_most(name, values, limit, rule, way_out):
    """Refuses `values` above `limit`, but for rounding.

    Args:
        name: What the values are.
        values: Array.
        limit: The largest value allowed.
        rule: How the limit is written.
        way_out: What to do instead.

    Raises:
        ValueError: If a value is larger.
    """
    if np.any(values > limit * (1 + 1e-12)):
        raise ValueError(
            f"Expected {name} of at most {rule} = {limit:.6g}. "
            f"Received: {np.max(values):.6g}. {way_out}"
        )
