"""The shape of one kernel's weights, and what a wrong step costs them."""

import numpy as np

from kure_tf import compat
from kure_tf.fake_quantized import kernels_in
from kure_tf.ops import grid as grids
from kure_tf.ops.kurtosis import kurtosis
from kure_tf.ops.quantization_error import mean_squared_error
from kure_tf.ops.sorted_values import SortedValues
from kure_tf.ops.step_search import best_step_size

_RATIOS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5, 1.75, 2.0)


def weight_shape(model, path, bits=4, ratios=_RATIOS) -> dict:
    """Returns kurtosis, histogram and step sensitivity of one kernel.

        sensitivity(r) = |MSE(r step) - MSE(step)| / variance

    with the step of the smallest mean squared error on the narrow grid, per
    tensor (KURE paper, Definition 1 and Fig. 3c, for a relative deviation).

    Args:
        model: A built model.
        path: Of the kernel, such as "conv2/kernel".
        bits: Bit-width.
        ratios: Ratios r of the step.

    Returns:
        `{"layer", "kurtosis", "bits", "step_size", "sensitivity": {ratio:
        value}}`, plain values.

    Raises:
        ValueError: If the model has no such kernel, or all its weights are
            equal.
    """
    kernels = dict(kernels_in(model))
    if path not in kernels:
        raise ValueError(
            f"Expected the path of a kernel, of {list(kernels)}. Received: "
            f"{path!r}."
        )
    values = compat.to_numpy(kernels[path]).astype(np.float32).reshape(-1)
    variance = float(np.var(values.astype(np.float64)))
    if variance == 0.0:
        raise ValueError(
            f"Expected weights that differ. Those of {path!r} are all "
            f"{values[0]:g}."
        )
    low, high = (float(level) for level in grids.NARROW.levels(bits))
    step = best_step_size(values, np.abs(values).max() / high, (low, high))
    errors = mean_squared_error(
        SortedValues(values), step * np.array([1.0, *ratios]), (low, high)
    )
    costs = np.abs(errors[1:] - errors[0]) / variance
    return {
        "layer": path,
        "kurtosis": float(kurtosis(values)),
        "bits": bits,
        "step_size": float(step),
        "sensitivity": {
            f"{ratio:g}": float(cost)
            for ratio, cost in zip(ratios, costs, strict=True)
        },
    }
