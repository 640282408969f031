"""Calibration: a few batches, and what was measured on them."""

import contextlib
import dataclasses
import functools

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from kure_tf import compat
from kure_tf.fake_quantized import quantizers_of, set_operating_point
from kure_tf.operating_point import OperatingPoint
from kure_tf.ptq.calibration_loss import CalibrationLoss
from kure_tf.quantizers import Quantizer, StepSizes, TensorStep

SAMPLE = 1 << 18
"""At most so many values of one activation tensor are kept."""


@dataclasses.dataclass(frozen=True)
class CalibratedTensor:
    """What a PTQ method knows of one quantized tensor.

    Attributes:
        path: "layer/kernel" or "layer/input".
        kind: "weight" or "activation".
        quantizer: Its `Quantizer`.
        pinned_bits: Bit-width that operating points do not change, or None.
        values: Float32 array `[step sizes, n]`: one row of values for each
            step size (one row per tensor, or per output channel). All values
            of a kernel; a sample of at most 2^18 of an activation.
        lowest: Smallest value that was seen, of all, not only the sample.
        highest: Largest value that was seen.
        step_shape: Shape of the step size.
    """

    path: str
    kind: str
    quantizer: Quantizer
    pinned_bits: int | None
    values: np.ndarray
    lowest: float
    highest: float
    step_shape: tuple

    def bits_at(self, point) -> int | None:
        """Returns the tensor's bit-width at an operating point, None for FP."""
        weight = self.kind == "weight"
        bits = point.weight_bits if weight else point.activation_bits
        if bits is None:
            return None
        return self.pinned_bits or bits

    def largest_step(self, bits) -> np.ndarray:
        """Returns the smallest steps that clip no value, one for each row."""
        ends = self.values
        if self.kind == "activation":  # All values count, not only the sample.
            ends = np.array([[self.lowest, self.highest]])
        low = np.minimum(ends.min(axis=1), 0.0).astype(np.float64)
        high = np.maximum(ends.max(axis=1), 0.0).astype(np.float64)
        grid = self.quantizer.grid
        extent = float(grid.extent(float(bits), low.min()))
        asymmetric = grid.name == "asymmetric"
        span = high - low if asymmetric else np.maximum(high, -low)
        # Any step represents zeros.
        return np.where(span > 0, span / extent, 1.0)

    def rows_at(self, bits):
        """Yields (values, largest step size, (low, high)) of each row.

        The levels do not depend on the step size that is tried: on an
        asymmetric grid the origin moves with it, so that the zero point stays.
        """
        steps = self.largest_step(bits)
        for values, largest in zip(self.values, steps, strict=True):
            lowest = self.origin_at(largest, bits) / largest
            levels = self.quantizer.grid.levels(float(bits), lowest)
            yield values, largest, tuple(float(level) for level in levels)

    def origin_at(self, step_size, bits) -> float:
        """Returns the smallest value to represent at a step size, at most 0.

        On an asymmetric grid both ends of the clipping range move in
        proportion to the step size.
        """
        grid = self.quantizer.grid
        if not grid.adaptive:
            return 0.0
        lowest = min(self.lowest, 0.0)
        if grid.name == "asymmetric":
            lowest *= float(step_size) / float(self.largest_step(bits)[0])
        return lowest


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
        return CalibrationLoss(self.model, self.batches)

    def step_sizes(self, point, step_size_of, **provenance) -> StepSizes:
        """Returns `step_size_of(tensor, bits)` for all but the FP tensors.

        Args:
            point: The operating point.
            step_size_of: Returns one step size per row of `tensor.values`.
            **provenance: What to note beside the calibration's own.
        """
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


def calibrate(model, batches=None, *, provenance=None, progress=True):
    """Measures a fake-quantized model's kernels and activations.

    Args:
        model: What `fake_quantize_model` returned. It is left in float.
        batches: Batches of images, or of (images, labels), drawn from training
            data. None measures the kernels alone, for points such as "4/FP".
            Methods that look at a loss need labels, and batches that can be
            gone through again (a list or `tf.data.Dataset`, no generator).
        provenance: What reports say of the images: source, seed.
        progress: Whether to show a progress bar.

    Raises:
        ValueError: If the batches are empty, of the wrong shape, or lead to
            NaN in an activation.
    """
    set_operating_point(model, OperatingPoint())
    tensors = {}
    for path, tensor in quantizers_of(model).items():
        if tensor.kind == "weight":
            value = compat.to_numpy(tensor.variable).astype(np.float32)
            rows = _rows(value, tuple(tensor.state.step_size.shape))
            tensors[path] = _calibrated(tensor, rows, value.min(), value.max())
    images = 0
    if batches is not None:
        observations, images = _observe(model, batches, progress)
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
    )


def _rows(value, step_shape):
    """Returns the values as `[step sizes, values for each]`."""
    varying = [i for i, size in enumerate(step_shape) if size != 1]
    moved = np.moveaxis(value, varying, range(len(varying)))
    rows = int(np.prod([step_shape[i] for i in varying], dtype=int))
    return np.ascontiguousarray(moved.reshape(rows, -1))


class _Observation:
    """The values of one activation tensor seen so far: ends and a sample."""

    def __init__(self, path, seed):
        self.path = path
        self.lowest, self.highest = np.inf, -np.inf
        self._parts = []
        self._share = 1.0  # Of all values so far, those that are kept.
        self._random = np.random.default_rng(seed)

    def add(self, values):
        values = np.asarray(values, np.float32).reshape(-1)
        if not np.isfinite(values).all():
            raise ValueError(
                f"Expected finite activations. {self.path!r} has NaN or "
                "infinity on the calibration images: look at the images and "
                "at the weights of the layers before it."
            )
        self.lowest = min(self.lowest, values.min())
        self.highest = max(self.highest, values.max())
        # Every value has the same chance, whatever its batch's place and size.
        self._parts.append(self._thinned(values, self._share))
        while sum(part.size for part in self._parts) > 4 * SAMPLE:
            self._share /= 2
            self._parts = [self._thinned(part, 0.5) for part in self._parts]

    def _thinned(self, values, share):
        if share == 1.0:
            return values
        return values[self._random.random(values.size, np.float32) < share]

    def sample(self):
        values = np.concatenate(self._parts)
        if values.size > SAMPLE:
            values = values[self._random.permutation(values.size)[:SAMPLE]]
        return values


def _observe(model, batches, progress):
    hosts = {}
    for path, tensor in quantizers_of(model).items():
        if tensor.kind == "activation":
            hosts[id(tensor.layer)] = path
    observations = {
        path: _Observation(path, seed)
        for seed, path in enumerate(hosts.values())
    }

    def observer(layer, inputs):
        observations[hosts[id(layer)]].add(inputs)

    images = 0
    with contextlib.ExitStack() as stack:
        for tensor in quantizers_of(model).values():
            if tensor.kind == "activation":
                stack.enter_context(tensor.layer.observed_by(observer))
        for batch in tqdm(
            batches, "calibrating", disable=not progress, leave=False
        ):
            batch = batch[0] if isinstance(batch, (tuple, list)) else batch
            batch = tf.convert_to_tensor(batch)
            _check_shape(model, batch)
            if not batch.shape[0]:
                continue
            model(batch, training=False)
            images += int(batch.shape[0])
    if not images:
        raise ValueError(
            "Expected at least one batch of calibration images. Received "
            "none. Take some hundred training images: "
            "dataset.calibration.batches(128)."
        )
    return observations, images


def _check_shape(model, batch):
    expected = tuple(model.inputs[0].shape)
    given = tuple(batch.shape)
    fits = len(expected) == len(given) and all(
        want in (None, got) for want, got in zip(expected, given, strict=True)
    )
    if not fits:
        raise ValueError(
            f"Expected batches of shape {expected}, what {model.name!r} takes. "
            f"Received a batch of shape {given}."
        )
