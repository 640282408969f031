"""One int8 code for each weight, good at every bit-width (nested rounding)."""

import numpy as np

from kure_tf import compat
from kure_tf.fake_quantized import apply, keeping, quantizers_of
from kure_tf.ops.checks import check_choice, check_whole
from kure_tf.progress import ProgressBar
from kure_tf.ptq.adaround import check_roundable, rounding_images
from kure_tf.ptq.calibration import check_calibration
from kure_tf.ptq.kernel_matrix import KernelMatrix
from kure_tf.ptq.layer_moments import LayerMoments
from kure_tf.ptq.lp_norm import lp_norm
from kure_tf.ptq.nested_correction import corrections
from kure_tf.ptq.nested_kernel import NestedKernel
from kure_tf.ptq.nested_layer import LayerSearch
from kure_tf.ptq.nested_progress import NestedProgress, images_of
from kure_tf.settings import (
    BiasCorrection,
    NestedWeights,
    OperatingPoint,
    Setting,
)
from kure_tf.settings.nested_weights import (
    READINGS,
    checked_widths,
    nested_point,
)

# A place of a convolution or dense layer may see so many values: more have
# second moments of gigabytes.
_LARGEST_ROW = 8192


def nested_rounding(
    calibration,
    bits=(8, 6, 4, 3, 2),
    *,
    activation_bits=None,
    method=lp_norm,
    reading="even",
    nearest=False,
    reestimated_batch_norm=None,
    batches=None,
    updates=300,
    rounds=4,
    journal=None,
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
    with re-estimated statistics makes; or of the output itself. There, each
    step gets a gain and each bias a shift of its own at each width
    (`corrections`), and where each channel has a step, the search counts only
    what its gain does not make up for. The other widths come out right by
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
            each width (`nested_settings`); None where there are any.
        batches: As for `adaround`.
        updates: Steps of Adam in step 3; 0 starts step 4 from the nearest
            codes.
        rounds: Of step 4, at most.
        journal: A file for what was found so far: killed and called again, the
            search goes on with the next layer, to the same codes.
        progress: Whether to show a progress bar.

    Returns:
        `NestedWeights` of all quantized kernels. Pinned kernels have the
        nearest codes of their own bits; so have separable, einsum and
        recurrent kernels those of 8 bits, and those of layers that see more
        than 8,192 values at a place: `skipped` names them.

    Raises:
        TypeError: As `adaround`.
        ValueError: If bits are out of range, there are no images, `journal` is
            that of another search, or as `adaround`.

    Example:
        >>> nested = ptq.nested_rounding(calibration, (8, 4, 2))
        >>> nested.at(4).codes["conv1/kernel"]
    """
    bits = checked_widths(bits)
    check_choice("a reading", reading, READINGS)
    check_whole("updates", updates, 0)
    check_whole("rounds", rounds, 0)
    model = check_calibration(calibration).model
    check_roundable(model)
    if reestimated_batch_norm is None:
        reestimated_batch_norm = any(compat.batch_norms_of(model))
    steps = method(calibration, OperatingPoint(8, activation_bits))
    found = {
        path: NestedKernel(tensor, calibration.tensors[path], reading, bits)
        for path, tensor in quantizers_of(model).items()
        if tensor.kind == "weight"
    }
    for kernel in found.values():
        kernel.start(steps, nearest)
    search = _Search(found, steps, activation_bits, reading, bits)
    options = {
        "rounding": "nearest" if nearest else "nested",
        "reestimated_batch_norm": bool(reestimated_batch_norm),
        "bits": list(bits),
        "activation_bits": activation_bits,
        "updates": 0 if nearest else updates,
        "rounds": 0 if nearest else rounds,
    }
    images = []
    if not nearest:
        images = rounding_images(model, calibration, batches, "nested rounding")
        key = {**options, "reading": reading, "steps": steps.to_dict()}
        key["weights"] = {path: one.weights() for path, one in found.items()}
        known = NestedProgress(journal, {**key, "images": images_of(images)})
        moments = LayerMoments(
            model, images, reestimated_batch_norm, networks=bits
        )
        bar = ProgressBar(
            found,
            "nested rounding",
            unit="layer",
            progress=progress,
        )
        for path in bar:
            if path not in known:
                known.add(path, search.round(path, moments, updates, rounds))
            search.put(path, known[path])
    count = sum(batch.count for batch in images)
    return search.result(
        {**steps.provenance, "rounding_images": count, **options}
    )


class _Search:
    """The state of the walk through the layers."""

    def __init__(self, kernels, steps, activation_bits, reading, bits):
        self._kernels, self._steps = kernels, steps
        self._activation_bits = activation_bits
        self._reading, self._bits = reading, bits
        self._widths = sorted({*bits[:2], bits[-1]})
        self._shifts = {width: {} for width in bits}
        self._gains = {width: {} for width in bits}
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
            gains={width: dict(found) for width, found in self._gains.items()},
            provenance={**provenance, "layers": self._errors},
            skipped=self._skipped,
        )

    def put(self, path, found):
        """Takes over what `round` returned."""
        if "codes" in found:
            self._kernels[path].codes = found["codes"]
            self._errors[path] = found["errors"]
        if "skipped" in found:
            self._skipped[path] = found["skipped"]
        layer = path.rpartition("/")[0]
        for width, shift in found.get("shifts", {}).items():
            self._shifts[int(width)][layer] = shift
        for width, gain in found.get("gains", {}).items():
            self._gains[int(width)][path] = gain

    def round(self, path, moments, updates, rounds) -> dict:
        """Returns the codes of one kernel, and its biases, as plain values."""
        kernel = self._kernels[path]
        if kernel.why_nearest is not None:
            return {"skipped": kernel.why_nearest}
        view = KernelMatrix(kernel.tensor.layer.layer)
        size = view.to_matrix(kernel.codes).shape[1]
        if size > _LARGEST_ROW:
            return {"skipped": f"it sees {size} values at a place"}
        host = kernel.tensor.layer
        norm = moments.norm_behind(host)
        biased = norm is None and host.layer.bias is not None
        if kernel.pinned and not biased:
            return {}
        seen = {
            width: self._moments(
                width, path, view, moments, biased or norm is not None
            )
            for width in (self._bits if norm is None else self._widths)
        }
        found = {}
        if not kernel.pinned:
            epsilon = kernel.own_gain_epsilon if norm is None else norm.epsilon
            found = self._learned(kernel, view, seen, epsilon, updates, rounds)
        if norm is None:
            codes = found.get("codes", kernel.codes)
            found |= corrections(
                kernel, codes, view, seen, self._reading, biased=biased
            )
        return found

    def _learned(self, kernel, view, seen, epsilon, updates, rounds):
        shape = kernel.codes.shape
        scale = view.to_matrix(np.broadcast_to(kernel.step_size, shape))
        search = LayerSearch(
            kernel,
            view.to_matrix(kernel.weights()) / scale,
            scale[:, :1],
            {width: seen[width].means() for width in self._widths},
            epsilon,
            self._reading,
        )
        codes, errors = search.codes(updates, rounds)
        codes = view.to_kernel(codes).astype(np.int8)
        return {"codes": codes, "errors": errors}

    def _moments(self, width, path, view, moments, centered):
        kernel = self._kernels[path]
        matrix = view.to_matrix(np.float32(kernel.weights()))
        host = kernel.tensor.layer
        with keeping(moments.model):
            apply(moments.model, self._setting(width))
            return moments.of(
                path, host, view, matrix, centered=centered, network=width
            )

    def _setting(self, width):
        nested = self.result({})
        return Setting(
            nested_point(width, self._activation_bits, self._reading),
            step_sizes=self._steps,
            rounded_weights=nested.at(width),
            bias_correction=nested.bias_correction_at(width),
        )
