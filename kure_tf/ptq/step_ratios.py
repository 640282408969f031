"""Step sizes as a vector, for searches that move many of them at once."""

import math

import numpy as np

from kure_tf.settings import StepSizes, TensorStep

LARGEST_RATIO = 4.0
"""No step gets further from its start than by this factor."""


class StepRatios:
    """The logarithms of the ratios of step sizes to those of a start.

    The vector 0 is the start, and no vector makes a step size negative: each
    ratio is kept between 1/4 and 4. An asymmetric grid's origin moves with the
    step, so that the zero point stays.

    Args:
        calibration: What `calibrate` returned.
        start: `StepSizes` of its tensors.
        shared: Whether the channels of a tensor share one ratio.

    Attributes:
        size: Length of the vector.
    """

    def __init__(self, calibration, start, *, shared):
        self._calibration = calibration
        self._start = start
        self._parts, at = {}, 0
        for path, step in start.tensors.items():
            count = 1 if shared else step.step_size.size
            self._parts[path] = slice(at, at + count)
            at += count
        self.size = at

    def step_sizes(self, vector, provenance=None) -> StepSizes:
        """Returns the step sizes that a vector `[size]` stands for."""
        bound = math.log(LARGEST_RATIO)
        ratios = np.exp(np.clip(vector, -bound, bound))
        tensors = {}
        for path, step in self._start.tensors.items():
            ratio = ratios[self._parts[path]]
            start = step.step_size.astype(np.float64)
            value = (start.reshape(-1) * ratio).reshape(start.shape)
            calibrated = self._calibration.tensors[path]
            origin = calibrated.origin_at(value.flat[0], step.bits)
            tensors[path] = TensorStep(value, step.bits, origin)
        return StepSizes(
            tensors, {**self._start.provenance, **(provenance or {})}
        )

    def gradient(self, step_sizes, by_path):
        """Returns d loss / d vector.

            d loss / d log step = step * d loss / d step

        Args:
            step_sizes: Where the gradient was taken.
            by_path: `{tensor path: d loss / d step size}`.
        """
        found = np.zeros(self.size)
        for path, part in self._parts.items():
            step = step_sizes.tensors[path].step_size
            terms = (step * by_path[path].reshape(step.shape)).reshape(-1)
            found[part] = terms.sum() if part.stop - part.start == 1 else terms
        return found
