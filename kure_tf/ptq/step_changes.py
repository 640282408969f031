"""What the gradient of the loss says of other step sizes."""

import numpy as np

from kure_tf.fake_quantized import in_rows

_BINS_PER_STEP = 1 << 12
_FEWEST_BINS, _MOST_BINS = 1 << 8, 1 << 16
_BINS_OF_ALL_ROWS = 1 << 20


class StepChanges:
    """How the loss of each group of images changes with single step sizes.

    To the first order, the step size of one tensor or channel going from s to
    ratio * s changes the loss by

        sum over its values of  d loss / d Q(x; s) * (Q(x; ratio s) - Q(x; s)),

    where Q quantizes to the nearest level. What rounding does is in it:
    nothing is taken as straight through, and one gradient serves all ratios.

    The sums take no longer for many ratios than for one. Q(x; s) is s times
    the lowest level and one more for each threshold, half-way between two
    levels, that x reaches; so all that is needed are sums of the gradient over
    the values beyond a threshold. They are read from cumulative sums over
    narrow bins (at 3 bits 1/4096 of a step, more where there are many levels
    or channels), between whose edges they are interpolated.

    Args:
        calibration: What `calibrate` returned.
        point: `OperatingPoint`.
        step_sizes: Where the gradients are taken.
        ratios: Array `[k]` of positive numbers.
    """

    def __init__(self, calibration, point, step_sizes, ratios):
        self._tensors = {
            path: _Tensor(calibration.tensors[path], point, step, ratios)
            for path, step in step_sizes.tensors.items()
        }
        self._groups = []

    def add(self, gradients):
        """Takes note of one group of `CalibrationLoss.gradients_of_values`."""
        found = [
            tensor.changes(gradients[path])
            for path, tensor in self._tensors.items()
        ]
        self._groups.append(np.concatenate(found))

    def array(self) -> np.ndarray:
        """Returns the changes, float32 `[step sizes, groups, k]`.

        Step sizes in the order of `StepRatios` whose channels move alone.
        """
        return np.stack(self._groups, 1)


class _Tensor:
    """The values of one tensor, a row for each step size, in bins."""

    def __init__(self, calibrated, point, step, ratios):
        weight = calibrated.kind == "weight"
        scale = point.step_scale if weight else point.activation_step_scale
        self._step_shape = calibrated.step_shape
        self._step = scale * step.step_size.reshape(-1, 1).astype(np.float64)
        self._unit = np.reshape(calibrated.unit, (-1, 1))
        offset = calibrated.quantizer.grid.offset
        levels = [found[2] for found in calibrated.rows_at(step.bits)]
        # In steps. What lies further out is clipped whatever the ratio.
        start = (np.min(levels) + offset - 1) * max(ratios)
        extent = (np.max(levels) + offset + 1) * max(ratios) - start
        self._bins = int(
            min(
                extent * _BINS_PER_STEP,
                _MOST_BINS,
                max(_BINS_OF_ALL_ROWS // len(levels), _FEWEST_BINS),
            )
        )
        self._start, self._width = start, extent / self._bins
        self._parts = [
            (
                [row for row, own in enumerate(levels) if own == kind],
                _Thresholds(kind, offset, ratios, start, self._width),
            )
            for kind in sorted(set(levels))
        ]
        self._kernel = self._in_bins(calibrated.values) if weight else None

    def changes(self, pairs):
        """Returns the changes `[rows, k]` for (values, gradient) of calls."""
        sums = np.zeros((len(self._step), self._bins))
        for values, gradient in pairs:
            places = self._kernel
            if places is None:
                places = self._in_bins(in_rows(values, self._step_shape))
            # One that overflows must not end the search.
            gradient = np.nan_to_num(gradient, posinf=0.0, neginf=0.0)
            gradient = in_rows(gradient, self._step_shape).reshape(-1)
            found = np.bincount(places, gradient, sums.size)
            sums += found.reshape(sums.shape)
        beyond = np.cumsum(sums[:, ::-1], axis=1)[:, ::-1]
        beyond = np.pad(beyond * self._step * self._unit, [(0, 0), (0, 1)])
        found = [part.changes(beyond[rows]) for rows, part in self._parts]
        order = np.argsort(np.concatenate([rows for rows, _ in self._parts]))
        return np.float32(np.concatenate(found)[order])

    def _in_bins(self, rows):
        """Returns the bin of each value of all rows, flat, as an integer."""
        place = (rows / self._step - self._start) / self._width
        place = np.clip(place, 0, self._bins - 1).astype(np.int64)
        return (place + self._bins * np.arange(len(rows))[:, None]).reshape(-1)


class _Thresholds:
    """Where values change their level, for some ratios, among bin edges."""

    def __init__(self, levels, offset, ratios, start, width):
        low, high = levels
        self._ratios = np.append(1.0, ratios)
        self._lowest = low + offset
        halves = np.arange(low + 1, high + 1) - 0.5 + offset
        place = (halves * self._ratios[:, None] - start) / width
        self._edge = np.floor(place).astype(int)
        self._part = place - self._edge

    def changes(self, beyond):
        """Returns the changes `[rows, k]`.

        Args:
            beyond: Sums of gradients over the values beyond each bin edge,
                `[rows, edges]`, times the step size.
        """
        reached = (
            beyond[:, self._edge] * (1 - self._part)
            + beyond[:, self._edge + 1] * self._part
        ).sum(2)
        found = self._ratios * (self._lowest * beyond[:, :1] + reached)
        return found[:, 1:] - found[:, :1]
