"""One kernel on its way to nested codes: its step and its nearest codes."""

import numpy as np

from kure_tf import compat
from kure_tf.ops.step_search import best_step_sizes
from kure_tf.ptq.kernel_matrix import why_no_matrix


class NestedKernel:
    """One kernel on its way to nested codes.

    Args:
        tensor: Its `QuantizedTensor`.
        calibrated: Its `CalibratedTensor`.
        reading: How a device reads the codes.
        bits: The widths, fewest first.

    Attributes:
        codes: Int8 array of the kernel's shape; None before `start`.
        step_size: Their step, float32, of the calibration's step shape.
        why_nearest: Why it keeps the nearest codes, None if it is searched.
    """

    def __init__(self, tensor, calibrated, reading, bits):
        self.tensor, self._calibrated = tensor, calibrated
        self._reading, self.bits = reading, bits
        self.why_nearest = why_no_matrix(tensor.layer.layer)
        self.codes = self.step_size = None

    @property
    def pinned(self):
        return self.tensor.pinned_bits

    @property
    def own_gain_epsilon(self):
        """0 if each output channel has a gain of its own, else None.

        The `OutputError` of a layer without batch normalization behind: what
        a gain makes up for is no error.
        """
        steps = int(np.prod(self._calibrated.step_shape))
        return 0.0 if steps > 1 else None

    def start(self, steps, nearest):
        """Sets step size and nearest codes."""
        if self.pinned:
            self.step_size = steps.tensors[self.tensor.path].step_size
        else:
            rows = self._lemma_3() if nearest else self._least_error()
            shape = self._calibrated.step_shape
            self.step_size = np.float32(rows).reshape(shape)
        top = 2 ** ((self.pinned or 8) - 1) - 1
        weights = self.weights() / self.step_size.astype(np.float64)
        self.codes = np.clip(np.rint(weights), -top, top).astype(np.int8)

    def weights(self):
        return compat.to_numpy(self.tensor.variable).astype(np.float64)

    def lowest_levels(self):
        """Returns (low, high, offset, unit) of the levels at fewest bits."""
        low, half = self.bits[0], 2.0 ** (self.bits[0] - 1)
        if self._reading == "even":
            return 1.0 - half, half - 1.0, 0.0, 2 ** (8 - low)
        offset = 0.5 if self._reading == "middle" else 0.0
        return -half, half - 1.0, offset, 2 ** (8 - low)

    def _lemma_3(self):
        low, high, _, unit = self.lowest_levels()
        extent = np.abs(self._calibrated.values).max(axis=1).astype(np.float64)
        steps = 2.0 * extent / (high - low + 1.0) / unit
        return np.where(extent > 0, steps, self._calibrated.largest_step(8))

    def _least_error(self):
        low, high, offset, unit = self.lowest_levels()
        values = self._calibrated.values
        largest = np.abs(values).max(axis=1) / max(high, 0.5)
        largest = np.where(largest > 0, largest, 1.0)
        found = best_step_sizes(values, largest, (low, high), offset)
        return found / unit
