"""Gain and bias that the nested codes of one layer lack at each width."""

import numpy as np

from kure_materialize import read
from kure_tf.settings.nested_weights import unit_of


def corrections(kernel, codes, view, seen, reading, *, biased) -> dict:
    """Returns what makes up for the error of codes at each width.

    With y the output of the float layer and q that of the codes, the gain is
    the one of least error relative to y,

        gain = sum E[y q] / E[y^2] / sum E[q^2] / E[y^2]

    over the output channels that share a step, and the bias what the means
    then lack, E[y] - gain E[q]. Where a bias is corrected, the means are
    subtracted before.

    Args:
        kernel: The `NestedKernel`.
        codes: Its codes, of the kernel's shape.
        view: Its `KernelMatrix`.
        seen: `{width: SecondMoments}`.
        reading: How codes are read.
        biased: Whether the layer has a bias.

    Returns:
        "gains" and, if `biased`, "shifts": `{width as text: float32 array}`.
        A pinned kernel has no gains.
    """
    gains, shifts = {}, {}
    for width, moments in seen.items():
        step, units = kernel.step_size.astype(np.float64), codes
        if not kernel.pinned:
            units = read(codes, width, reading)
            step = step * unit_of(width, reading)[0]
            gain = _gain(view, units * step, moments.means(), step.shape)
            gains[str(width)] = np.float32(gain)
            step = step * np.float32(gain)
        if biased:
            shift = moments.mean_error(view.to_matrix(units * step))
            shifts[str(width)] = np.float32(shift.reshape(-1))
    return {"gains": gains, **({"shifts": shifts} if biased else {})}


def _gain(view, weights, moments, shape):
    """Returns the gain of each step, in the shape of the steps."""
    matrix = view.to_matrix(weights)
    gram, cross, power = (np.float64(found) for found in moments)
    own = (matrix * (gram @ matrix)).sum(1)
    shared = (matrix * cross).sum(1)
    sums = []
    for found in (shared, own):
        relative = np.divide(
            found, power, out=np.zeros_like(found), where=power > 0
        )
        spread = np.broadcast_to(relative[:, np.newaxis], matrix.shape)
        sums.append(_summed_to(view.to_kernel(spread), shape))
    good = (sums[0] > 0) & (sums[1] > 0)
    return np.divide(*sums, out=np.ones(shape), where=good)


def _summed_to(values, shape):
    """Returns the sums over what broadcasts from `shape`."""
    if not shape:
        return values.sum()
    axes = tuple(i for i, size in enumerate(shape) if size == 1)
    return values.sum(axes, keepdims=True)
