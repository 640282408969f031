"""One int8 code for each weight, good at every bit-width (nested rounding)."""

import dataclasses

import numpy as np
from tqdm import tqdm

from kure_materialize import read
from kure_tf import compat
from kure_tf.fake_quantized import apply, keeping, quantizers_of
from kure_tf.ops.checks import check_choice, check_whole
from kure_tf.ops.step_search import best_step_sizes
from kure_tf.ptq.adaround import check_roundable, rounding_images
from kure_tf.ptq.kernel_matrix import KernelMatrix, why_no_matrix
from kure_tf.ptq.layer_moments import LayerMoments
from kure_tf.ptq.lp_norm import lp_norm
from kure_tf.ptq.nested_descent import CODES, Term, cells_of, descended
from kure_tf.ptq.rounding_search import OutputError, learned_codes
from kure_tf.settings import (
    BiasCorrection,
    NestedWeights,
    OperatingPoint,
    Setting,
)
from kure_tf.settings.nested_weights import READINGS, nested_point, unit_of

# A place of a convolution or dense layer may see so many values: more have
# second moments of gigabytes.
_LARGEST_ROW = 8192
_LEARNING_RATE, _REGULARIZATION = 0.04, 4.0


def nested_rounding(
    calibration,
    bits=(8, 6, 4, 3, 2),
    *,
    activation_bits=None,
    method=lp_norm,
    reading="even",
    nearest=False,
    reestimated_batch_norm=True,
    batches=None,
    updates=300,
    rounds=4,
    progress=True,
) -> NestedWeights:
    """Returns 8-bit codes of which every coarse reading is a good weight.

    One stored code c and one step s serve all widths: with b bits a device
    reads c / 2^(8 - b), rounded, as a weight in units of 2^(8 - b) s (see
    `NestedWeights`). Layer by layer, in the order of the graph:

    1. s is the step whose nearest codes have the smallest mean squared error
       at the lowest width.
    2. Second moments of the layer's input are measured in one network for each
       of the lowest two and the highest width, all with the codes found so
       far, against the output of the float network.
    3. Each weight goes to one of its two neighbouring levels of the lowest
       width (`learned_codes`), and, inside the codes that read so, to the one
       with the smallest error at the highest width.
    4. Coordinate descent over all codes (`descended`) on

           sum over the three widths of error / sqrt(error of the nearest codes)

    The error is that of `adaround`: of the output that batch normalization
    with re-estimated statistics makes; or of the output itself up to a bias,
    which is then corrected at each width. The other widths come out right by
    themselves.

    The nearest codes alone (`nearest=True`) need no images: s is that of
    Lemma 3 of the KURE paper, 2 max|w| / number of levels at the lowest width.
    They are what KURE is for. With the search, a network without KURE does as
    well.

    Deterministic; the model is left as it was.

    Args:
        calibration: What `calibrate` returned. For `nearest`, one without
            images will do.
        bits: The widths, from 2 to 8; 8 among them.
        activation_bits: Bits of the activations in the networks of step 2;
            None leaves them in float.
        method: PTQ method for the step sizes of activations and pinned
            kernels.
        reading: "even", "middle" or "truncate": what the device does.
        nearest: Whether to take the nearest codes, without a search.
        reestimated_batch_norm: Whether statistics will be measured again at
            each width (`nested_settings`).
        batches: As for `adaround`.
        updates: Steps of Adam in step 3; 0 starts step 4 from the nearest
            codes.
        rounds: Of step 4, at most.
        progress: Whether to show a progress bar.

    Returns:
        `NestedWeights` of all quantized kernels. Pinned kernels have the
        nearest codes of their own bits; so have separable, einsum and
        recurrent kernels those of 8 bits, and those of layers that see more
        than 8,192 values at a place: `skipped` names them.

    Raises:
        TypeError: As `adaround`.
        ValueError: If bits are out of range, there are no images, or as
            `adaround`.

    Example:
        >>> nested = ptq.nested_rounding(calibration, (8, 4, 2))
        >>> nested.at(4).codes["conv1/kernel"]
    """
    bits = _checked_bits(bits)
    check_choice("a reading", reading, READINGS)
    check_whole("updates", updates, 0)
    check_whole("rounds", rounds, 0)
    model = calibration.model
    check_roundable(model)
    steps = method(calibration, OperatingPoint(8, activation_bits))
    found = {
        path: _NestedKernel(tensor, calibration.tensors[path], reading, bits)
        for path, tensor in quantizers_of(model).items()
        if tensor.kind == "weight"
    }
    for kernel in found.values():
        kernel.start(steps, nearest)
    search = _Search(found, steps, activation_bits, reading, bits)
    images = []
    if not nearest:
        images = rounding_images(model, calibration, batches, "nested rounding")
        moments = LayerMoments(model, images, reestimated_batch_norm)
        bar = tqdm(
            found.items(),
            "nested rounding",
            unit="layer",
            leave=False,
            disable=not progress,
        )
        for path, kernel in bar:
            search.round(path, kernel, moments, updates, rounds)
    return search.result(
        {
            **steps.provenance,
            "rounding": "nearest" if nearest else "nested",
            "rounding_images": sum(batch.count for batch in images),
            "reestimated_batch_norm": bool(reestimated_batch_norm),
            "bits": list(bits),
            "activation_bits": activation_bits,
            "updates": 0 if nearest else updates,
            "rounds": 0 if nearest else rounds,
        }
    )


class _NestedKernel:
    """One kernel on its way to nested codes."""

    def __init__(self, tensor, calibrated, reading, bits):
        self.tensor, self._calibrated = tensor, calibrated
        self._reading, self.bits = reading, bits
        self.why_nearest = why_no_matrix(tensor.layer.layer)
        self.codes = self.step_size = None

    @property
    def pinned(self):
        return self.tensor.pinned_bits

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


class _Search:
    """The state of the walk through the layers."""

    def __init__(self, kernels, steps, activation_bits, reading, bits):
        self._kernels, self._steps = kernels, steps
        self._activation_bits = activation_bits
        self._reading, self._bits = reading, bits
        self._widths = sorted({*bits[:2], bits[-1]})
        self._shifts = {width: {} for width in bits}
        self._errors, self._skipped = {}, {}

    def result(self, provenance):
        kernels = self._kernels
        return NestedWeights(
            {path: kernel.codes for path, kernel in kernels.items()},
            {path: kernel.step_size for path, kernel in kernels.items()},
            reading=self._reading,
            pinned={p: k.pinned for p, k in kernels.items() if k.pinned},
            bias_corrections={
                width: BiasCorrection(shifts)
                for width, shifts in self._shifts.items()
                if shifts
            },
            provenance={**provenance, "layers": self._errors},
            skipped=self._skipped,
        )

    def round(self, path, kernel, moments, updates, rounds):
        """Finds the codes of one kernel, and its biases."""
        if kernel.why_nearest is not None:
            self._skipped[path] = kernel.why_nearest
            return
        view = KernelMatrix(kernel.tensor.layer.layer)
        size = view.to_matrix(kernel.codes).shape[1]
        if size > _LARGEST_ROW:
            self._skipped[path] = f"it sees {size} values at a place"
            return
        host = kernel.tensor.layer
        norm = moments.norm_behind(host)
        corrected = norm is None and host.layer.bias is not None
        if kernel.pinned and not corrected:
            return
        matrix = view.to_matrix(np.float32(kernel.weights()))
        found = {
            width: self._moments(
                width, path, host, view, matrix, moments, corrected or norm
            )
            for width in (self._bits if corrected else self._widths)
        }
        if not kernel.pinned:
            shape = kernel.codes.shape
            scale = view.to_matrix(np.broadcast_to(kernel.step_size, shape))
            one = _LayerSearch(
                kernel,
                view.to_matrix(kernel.weights()) / scale,
                scale[:, :1],
                {width: found[width].means() for width in self._widths},
                None if norm is None else norm.epsilon,
                self._reading,
            )
            codes, self._errors[path] = one.codes(updates, rounds)
            kernel.codes = view.to_kernel(codes).astype(np.int8)
        if corrected:
            self._correct(path, kernel, view, found)

    def _moments(self, width, path, host, view, matrix, moments, centered):
        model = moments.model
        with keeping(model):
            apply(model, self._setting(width))
            return moments.of(path, host, view, matrix, centered=bool(centered))

    def _setting(self, width):
        nested = self.result({})
        return Setting(
            nested_point(width, self._activation_bits, self._reading),
            step_sizes=self._steps,
            rounded_weights=nested.at(width),
            bias_correction=nested.bias_correction_at(width),
        )

    def _correct(self, path, kernel, view, found):
        """Finds what the biases lack at each width."""
        layer = path.rpartition("/")[0]
        for width, moments in found.items():
            codes = kernel.codes
            unit = 1.0
            if not kernel.pinned:
                codes = read(codes, width, self._reading)
                unit = float(unit_of(width, self._reading)[0])
            weights = codes * (kernel.step_size.astype(np.float64) * unit)
            shift = moments.mean_error(view.to_matrix(weights)).reshape(-1)
            self._shifts[width][layer] = shift.astype(np.float32)


class _LayerSearch:
    """The search for the codes of one kernel, in its `KernelMatrix`."""

    def __init__(self, kernel, weights, step_size, moments, epsilon, reading):
        self._kernel, self._weights = kernel, weights
        self._step_size, self._epsilon = step_size, epsilon
        self._moments, self._reading = moments, reading
        nearest = np.clip(np.rint(weights), -127, 127).astype(np.int64)
        self._nearest, self._terms = nearest, []
        for width, found in moments.items():
            error = OutputError(step_size, found, epsilon)
            unit = unit_of(width, reading)[0]
            values = unit * read(CODES, width, reading).astype(np.float64)
            term = Term(width, values, error, np.ones(found[2].shape))
            before = term.errors(nearest)
            weight = 1.0 / np.sqrt(np.maximum(before, 0.0) + 1e-6)
            self._terms.append(dataclasses.replace(term, weight=weight))

    def codes(self, updates, rounds):
        """Returns codes `[g, k, m]`, and mean errors of widths as values."""
        coarse = [term.bits for term in self._terms[:-1]]
        bounds = self._bounds(updates)
        codes = np.clip(self._nearest, *bounds)
        if coarse and rounds:
            cells = cells_of(coarse, self._reading)
            codes = descended(codes, self._terms[-1:], cells, bounds, 1)
        else:
            cells = CODES[:1], CODES[-1:]
        every = CODES[0], CODES[-1]
        codes = descended(codes, self._terms, cells, every, rounds)
        errors = {
            str(term.bits): {
                "nearest": float(term.errors(self._nearest).mean()),
                "nested": float(term.errors(codes).mean()),
            }
            for term in self._terms
        }
        return codes, errors

    def _bounds(self, updates):
        """Returns the codes that read as the level learned at fewest bits."""
        if not updates:
            return CODES[0], CODES[-1]
        low, high, offset, unit = self._kernel.lowest_levels()
        width = self._terms[0].bits
        error = OutputError(
            self._step_size * unit, self._moments[width], self._epsilon, offset
        )
        levels, _, _ = learned_codes(
            error,
            self._weights / unit - offset,
            (low, high),
            updates=updates,
            learning_rate=_LEARNING_RATE,
            regularization=_REGULARIZATION,
        )
        first, last = cells_of([width], self._reading)
        number = (levels - low).astype(int)
        return first[number], last[number]


def _checked_bits(bits):
    """Returns the widths in order, fewest first."""
    found = sorted({check_whole("bits", one, 2, 8) for one in bits})
    if not found or found[-1] != 8:
        raise ValueError(
            "Expected bits of 2 to 8, with 8, the bits of the stored codes, "
            f"among them. Received: {tuple(bits)}."
        )
    return found
