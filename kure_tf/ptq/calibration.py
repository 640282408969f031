"""Calibration: a few batches, and what was measured on them."""

import dataclasses
import functools

import numpy as np

from kure_tf.data.sources import check_repeatable
from kure_tf.fake_quantized import (
    observe_inputs,
    prepared_rows,
    quantizers_of,
    set_operating_point,
)
from kure_tf.ops.checks import check_kind
from kure_tf.ops.lp_errors import lp_errors
from kure_tf.ptq.calibration_loss import CalibrationLoss
from kure_tf.quantizers import Quantizer
from kure_tf.settings import StepSizes, TensorStep
from kure_tf.settings.operating_point import OperatingPoint


@dataclasses.dataclass(frozen=True)
class CalibratedTensor:
    """What a PTQ method knows of one quantized tensor.

    Attributes:
        path: "layer/kernel" or "layer/input".
        kind: "weight" or "activation".
        quantizer: Its `Quantizer`.
        pinned_bits: Bit-width that operating points do not change, or None.
        values: Float32 array `[step sizes, n]`: one row of values for each
            step size (one row per tensor, or per output channel), as the
            quantizer prepares them. All values of a kernel; a sample of at
            most 2^18 of an activation.
        lowest: Smallest value that was seen, of all, not only the sample.
        highest: Largest value that was seen.
        step_shape: Shape of the step size.
        unit: Unit of each row's step size (`Quantizer.prepare`): 1, but for
            quantizers whose grid follows the weights.
    """

    path: str
    kind: str
    quantizer: Quantizer
    pinned_bits: int | None
    values: np.ndarray
    lowest: float
    highest: float
    step_shape: tuple
    unit: np.ndarray | float = 1.0

    def bits_at(self, point) -> int | None:
        """Returns the tensor's bit-width at an operating point, None for FP."""
        weight = self.kind == "weight"
        bits = point.weight_bits if weight else point.activation_bits
        if bits is None:
            return None
        return self.pinned_bits or bits

    def largest_step(self, bits) -> np.ndarray:
        """Returns the smallest steps that clip no value, one for each row."""
        return self._largest_step_of(self.values, bits)

    def _largest_step_of(self, rows, bits):
        if self.kind == "activation":  # All values count, not only the sample.
            rows = np.array([[self.lowest, self.highest]])
        return self.quantizer.largest_step(
            rows.min(axis=1), rows.max(axis=1), bits
        )

    def levels_at(self, bits) -> tuple[float, float]:
        """Returns (low, high), the levels of every row at any step size.

        On an asymmetric grid the origin moves with the step size, so that the
        zero point stays.
        """
        largest = self._largest_step_of(self.values[:1], bits)[0]
        origin = self.quantizer.origin_for(largest, self.lowest, largest)
        return self.quantizer.levels(bits, origin / largest)

    def rows_at(self, bits):
        """Yields (values, largest step size, levels) of each row."""
        levels = self.levels_at(bits)
        steps = self.largest_step(bits)
        for values, largest in zip(self.values, steps, strict=True):
            yield values, largest, levels

    def best_of(self, step_sizes, bits) -> np.ndarray:
        """Returns the step size of the smallest MSE for each row.

        Args:
            step_sizes: Array `[rows, s]` to choose from, `[1, s]` if all rows
                have the same choice.
            bits: Bit-width.
        """
        rows = len(self.values)
        steps = np.broadcast_to(step_sizes, (rows, step_sizes.shape[1]))
        levels, offset = self.levels_at(bits), self.quantizer.grid.offset
        errors = lp_errors(self.values, steps, levels, offset)
        return steps[np.arange(rows), np.argmin(errors, axis=1)]

    def origin_at(self, step_size, bits) -> float:
        """Returns `Quantizer.origin_for` a step size."""
        largest = self.largest_step(bits)[0]
        return self.quantizer.origin_for(step_size, self.lowest, largest)


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What was measured on the calibration images.

    Attributes:
        tensors: `{path: CalibratedTensor}`. Activations are those of the float
            model.
        provenance: Number of images, their source, and the seed.
        model: The fake-quantized model.
        batches: The batches.
    """

    tensors: dict
    provenance: dict
    model: object = dataclasses.field(default=None, repr=False, compare=False)
    batches: object = dataclasses.field(default=None, repr=False, compare=False)

    @functools.cached_property
    def loss(self) -> CalibrationLoss:
        """The model's loss on the images, for methods that look at it.

        It is compiled once for all operating points. It has to go through the
        batches again, and they need labels.

        Raises:
            ValueError: If there is no model, or no labelled images.
        """
        if self.model is None:
            raise ValueError(
                "Expected a calibration that knows its model, since a loss is "
                "measured on it. Received one without: make it by "
                "ptq.calibrate(model, batches)."
            )
        check_repeatable(self.batches, "to measure the loss on them")
        return CalibrationLoss(self.model, self.batches)

    def step_sizes(self, point, step_size_of, **provenance) -> StepSizes:
        """Returns `step_size_of(tensor, bits)` for all but the FP tensors.

        Args:
            point: The `OperatingPoint`, or its text.
            step_size_of: Returns one step size per row of `tensor.values`.
            **provenance: What to note beside the calibration's own.
        """
        point = OperatingPoint.parse(point)
        steps = {}
        for path, tensor in self.tensors.items():
            bits = tensor.bits_at(point)
            if bits is None:
                continue
            tensor.quantizer.grid.check_bits(bits)
            step_size = np.asarray(step_size_of(tensor, bits))
            origin = tensor.origin_at(step_size.flat[0], bits)
            step_size = step_size.reshape(tensor.step_shape)
            steps[path] = TensorStep(step_size, bits, origin)
        return StepSizes(steps, {**self.provenance, **provenance})


def check_calibration(calibration):
    """Returns `calibration`, or raises a TypeError unless it is one."""
    return check_kind(
        "what calibration found",
        calibration,
        Calibration,
        "ptq.calibrate(model, batches)",
    )


def calibrate(model, batches=None, *, provenance=None, progress=True):
    """Measures a fake-quantized model's kernels and activations.

    Args:
        model: What `fake_quantize_model` returned. It is left in float.
        batches: Training images: what `batches_of` takes, such as batches of
            images or of (images, labels). None measures the kernels alone, for
            points such as "4/FP". Methods that look at a loss need labels, and
            batches that can be gone through again (a list or
            `tf.data.Dataset`, no generator).
        provenance: What reports say of the images: source, seed.
        progress: Whether to show a progress bar.

    Raises:
        TypeError, ValueError: If there are no batches, the model does not take
            them, or they lead to NaN in an activation.
    """
    set_operating_point(model, OperatingPoint())
    tensors = {}
    for path, tensor in quantizers_of(model).items():
        if tensor.kind == "weight":
            rows = prepared_rows(tensor)
            tensors[path] = _calibrated(tensor, rows, rows.min(), rows.max())
    images = 0
    if batches is not None:
        observations, images = observe_inputs(model, batches, progress)
        for path, tensor in quantizers_of(model).items():
            if path in observations:
                seen = observations[path]
                rows = seen.sample()[np.newaxis]
                tensors[path] = _calibrated(
                    tensor, rows, seen.lowest, seen.highest
                )
    provenance = {**(provenance or {}), "images": images}
    return Calibration(tensors, provenance, model, batches)


def _calibrated(tensor, rows, lowest, highest):
    return CalibratedTensor(
        tensor.path,
        tensor.kind,
        tensor.quantizer,
        tensor.pinned_bits,
        rows,
        float(lowest),
        float(highest),
        tuple(tensor.state.step_size.shape),
        tensor.unit().reshape(-1),
    )
