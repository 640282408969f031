"""Step sizes from the distribution that fits a tensor (ACIQ)."""

import numpy as np
from scipy import optimize

from kure_tf.ops.checks import check_choice
from kure_tf.ops.distributions import Laplace, Normal
from kure_tf.ops.quantization_error import mean_squared_error
from kure_tf.ptq.calibration import check_calibration
from kure_tf.settings import StepSizes

_KINDS = {
    "auto": (Normal, Laplace),
    "normal": (Normal,),
    "laplace": (Laplace,),
}

# Clips that are tried, in standard deviations; the best one grows with the
# logarithm of the number of levels: 14 for a Laplace distribution at 16 bits.
_CLIPS = np.geomspace(0.2, 40.0, 48)


def aciq(calibration, point, *, distribution="auto") -> StepSizes:
    """Returns the step sizes that are best for a fitted distribution.

    Analytical clipping (Banner et al. 2019, "Post training 4-bit quantization
    of convolutional networks for rapid-deployment", section 3): a normal and a
    Laplace distribution are fitted to each tensor, or each output channel, and
    the step with the smallest expected squared error is computed from the
    likelier one. Only two moments of the values matter, so that a few images
    are enough.

    Three things differ from the paper. The error is that of the grid in use,
    without approximation (see `ops.quantization_error`), and its minimum is
    found numerically. The grid stays anchored at zero; it is the distribution
    that may lie beside it. No step is larger than the one that clips nothing.

    On grids that start at zero (ReLU outputs), a half-normal and an
    exponential distribution are fitted to the values above zero; zeros
    themselves are represented without error.

    Args:
        calibration: What `calibrate` returned.
        point: `OperatingPoint`; tensors in float there are left out.
        distribution: "normal", "laplace", or "auto" for the likelier one of
            each tensor or channel. The likelihoods are equal where the mean
            absolute deviation is sqrt(pi / (2 e)) = 0.76 of the standard
            deviation.

    Raises:
        ValueError: If there is no such distribution.
    """
    check_choice("a distribution", distribution, _KINDS)

    def step_size_of(tensor, bits):
        offset = tensor.quantizer.grid.offset
        return [
            _best_step_size(values, largest, levels, offset, distribution)
            for values, largest, levels in tensor.rows_at(bits)
        ]

    return check_calibration(calibration).step_sizes(
        point, step_size_of, method="aciq", distribution=distribution
    )


def _best_step_size(values, largest, levels, offset, distribution):
    low, high = levels
    if high == 0 and offset == 0:  # Nothing above zero: look from below.
        values, low, high = -values, 0, -low
    values = np.asarray(values, np.float64)
    fitted = _fitted(values, low == 0 and offset == 0, distribution)
    if fitted is None:
        return largest

    def error(log_steps):
        return mean_squared_error(
            fitted, np.exp(log_steps), (low, high), offset
        )

    # The error of a distribution beside zero may have two minima.
    extent = max(abs(low + offset), abs(high + offset))
    clips = fitted.standard_deviation * _CLIPS + abs(fitted.location)
    logs = np.log(clips / extent)
    best = int(np.argmin(error(logs)))
    found = optimize.minimize_scalar(
        error,
        bounds=(logs[max(best - 1, 0)], logs[min(best + 1, len(logs) - 1)]),
        method="bounded",
        options={"xatol": 1e-5},
    )
    return min(float(np.exp(found.x)), largest)


def _fitted(values, absolute, distribution):
    """Returns the likeliest distribution, None where there is no spread."""
    if absolute:
        values = values[values > 0]
    if not values.size or (not absolute and np.ptp(values) == 0):
        return None
    kinds = _KINDS[distribution]
    fits = [kind.fit(values, absolute=absolute) for kind in kinds]
    return min(fits, key=lambda fit: fit.entropy)
