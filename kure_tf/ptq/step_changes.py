"""What the gradient of the loss says of other step sizes."""

import numpy as np

from kure_tf.fake_quantized import in_rows

_BINS_PER_STEP = 1 << 12
_MOST_BINS = 1 << 16


class StepChanges:
    """How the loss of each group of images changes with single step sizes.

    To the first order, the step size of one tensor or channel going from s to
    ratio * s changes the loss by

        sum over its values of  d loss / d Q(x; s) * (Q(x; ratio s) - Q(x; s)),

    where Q quantizes. The tensor's own rounding is in it as it is, not as
    straight through, and one gradient serves all ratios.

    The sums take hardly longer for many ratios than for one. Q(x; s) is s
    times the lowest level and one more for each threshold between two levels
    that x reaches; so all that is needed are sums of the gradient over the
    values beyond a threshold. For kernels they are read from cumulative sums
    over the sorted values, for activations, which each image has others of,
    from those over narrow bins (at 4 bits 1/1000 of a step), between whose
    edges they are interpolated.

    Known are the rounding modes "nearest", "half_up" and "floor". Stochastic
    rounding is taken as "nearest", a step that is rounded to a power of two as
    what it was before, and a user's quantizer as a `UniformQuantizer`.

    Args:
        calibration: What `calibrate` returned.
        point: `OperatingPoint`.
        step_sizes: Where the gradients are taken.
        ratios: Array `[k]` of positive numbers.
        groups: How many groups there are.

    Attributes:
        array: The changes, float32 `[step sizes, groups, k]`; step sizes in
            the order of `StepRatios` whose channels move alone.
    """

    def __init__(self, calibration, point, step_sizes, ratios, groups):
        self._tensors, rows = {}, 0
        for path, step in step_sizes.tensors.items():
            calibrated = calibration.tensors[path]
            kind = _Kernel if calibrated.kind == "weight" else _Activation
            count = step.step_size.size
            part = slice(rows, rows + count)
            tensor = kind(calibrated, _Grid(calibrated, point, step), ratios)
            self._tensors[path] = (part, tensor)
            rows += count
        self.array = np.zeros((rows, groups, len(ratios)), np.float32)

    def add(self, group, gradients):
        """Takes note of one group of `CalibrationLoss.gradients_of_values`."""
        for path, (part, tensor) in self._tensors.items():
            for values, gradient in gradients[path]:
                # One that overflows must not end the search.
                gradient = np.nan_to_num(gradient, posinf=0.0, neginf=0.0)
                self.array[part, group] += tensor.changes(values, gradient)


def threshold_count(calibration, step_sizes) -> int:
    """Returns how many thresholds all step sizes have together."""
    return sum(
        step.step_size.size * _levels(calibration.tensors[path], step)[2]
        for path, step in step_sizes.tensors.items()
    )


def _levels(calibrated, step):
    """Returns (lowest, highest, number of steps between them)."""
    low, high = calibrated.levels_at(step.bits)
    return low, high, int(high - low)


class _Grid:
    """The levels of one tensor, in steps, and its step sizes, as `[rows, 1]`.

    Attributes:
        lowest, highest: The outermost levels.
        halves: The thresholds between levels, in rising order.
        step: Step sizes in force.
        size: What one step means in the unit of the quantizer's output.
        step_shape: Shape of the step size.
    """

    def __init__(self, calibrated, point, step):
        offset = calibrated.quantizer.grid.offset
        low, high, count = _levels(calibrated, step)
        self.lowest, self.highest = low + offset, high + offset
        half = 0.0 if point.rounding_mode == "floor" else 0.5
        self.halves = self.lowest + 1 - half + np.arange(count)
        scale = point.activation_step_scale
        if calibrated.kind == "weight":
            scale = point.step_scale
        if calibrated.pinned_bits is not None:
            scale = 1.0
        self.step = scale * step.step_size.reshape(-1, 1).astype(np.float64)
        self.size = self.step * np.reshape(calibrated.unit, (-1, 1))
        self.step_shape = calibrated.step_shape

    def changes(self, ratios, everything, beyond):
        """Returns the changes `[rows, k]` for the ratios after the first.

        Args:
            ratios: Array `[1 + k]`; the first one is 1.
            everything: Sums of gradients over all values, `[rows, 1]`.
            beyond: Sums over the values beyond each threshold, added up over
                the thresholds, `[rows, 1 + k]`.
        """
        found = self.size * ratios * (self.lowest * everything + beyond)
        return found[:, 1:] - found[:, :1]


class _Kernel:
    """Sums over a kernel's values, which are the same for all images."""

    def __init__(self, calibrated, grid, ratios):
        self._grid, self._ratios = grid, np.append(1.0, ratios)
        values = calibrated.values / grid.step
        self._order = np.argsort(values, axis=1)
        values = np.take_along_axis(values, self._order, 1)
        thresholds = np.outer(self._ratios, grid.halves).reshape(-1)
        self._first = np.stack(
            [np.searchsorted(row, thresholds) for row in values]
        )

    def changes(self, values, gradient):
        """Returns the changes `[rows, k]`; values are not looked at."""
        gradient = in_rows(gradient, self._grid.step_shape)
        gradient = np.take_along_axis(gradient, self._order, 1)
        beyond = _sums_beyond(gradient)
        found = np.take_along_axis(beyond, self._first, 1)
        shape = (len(found), len(self._ratios), -1)
        return self._grid.changes(
            self._ratios, beyond[:, :1], found.reshape(shape).sum(2)
        )


class _Activation:
    """Sums over a tensor's values in bins; it has one step size."""

    def __init__(self, calibrated, grid, ratios):
        self._grid, self._ratios = grid, np.append(1.0, ratios)
        # What lies further out is clipped whatever the ratio.
        self._start = (grid.lowest - 1) * max(ratios)
        extent = (grid.highest + 1) * max(ratios) - self._start
        self._bins = int(min(extent * _BINS_PER_STEP, _MOST_BINS))
        self._width = extent / self._bins
        place = np.outer(self._ratios, grid.halves) - self._start
        place /= self._width
        self._edge = np.floor(place).astype(int)
        self._part = place - self._edge

    def changes(self, values, gradient):
        """Returns the changes `[1, k]`."""
        place = values.reshape(-1) / self._grid.step[0] - self._start
        place = np.nan_to_num(place / self._width)
        place = np.clip(place, 0, self._bins - 1).astype(np.int64)
        sums = np.bincount(place, gradient.reshape(-1), self._bins)
        beyond = _sums_beyond(sums[np.newaxis])
        found = beyond[0, self._edge] * (1 - self._part)
        found += beyond[0, self._edge + 1] * self._part
        return self._grid.changes(
            self._ratios, beyond[:, :1], found.sum(1)[np.newaxis]
        )


def _sums_beyond(values):
    """Returns the sums `[rows, n + 1]` of `[rows, n]` from each place on."""
    sums = np.cumsum(values[:, ::-1], axis=1, dtype=np.float64)[:, ::-1]
    return np.pad(sums, [(0, 0), (0, 1)])
