"""Learned rounding of weights (AdaRound)."""

import numpy as np

from kure_tf import compat
from kure_tf.data.batches import batches_of
from kure_tf.fake_quantized import (
    FakeQuantized,
    integers_of,
    keeping,
    quantizers_of,
    set_operating_point,
    set_step_sizes,
)
from kure_tf.ops.checks import (
    check_kind,
    check_not_negative,
    check_positive,
    check_whole,
)
from kure_tf.progress import ProgressBar
from kure_tf.ptq.calibration import check_calibration
from kure_tf.ptq.kernel_matrix import KernelMatrix, why_no_matrix
from kure_tf.ptq.layer_moments import LayerMoments
from kure_tf.ptq.rounding_search import OutputError, learned_codes
from kure_tf.quantizers import Quantizer
from kure_tf.settings import RoundedWeights, StepSizes, TensorStep
from kure_tf.settings.operating_point import FP, OperatingPoint
from kure_tf.settings.rounded_weights import values_of

_GRIDS = ("narrow", "full")


def adaround(
    calibration,
    point,
    step_sizes,
    *,
    reestimated_batch_norm=False,
    batches=None,
    updates=300,
    learning_rate=0.04,
    regularization=4.0,
    progress=True,
) -> RoundedWeights:
    """Returns weights rounded up or down so that layers' outputs stay.

    Adaptive rounding (Nagel et al. 2020, "Up or Down? Adaptive Rounding for
    Post-Training Quantization", arXiv 2004.10568): the nearest level is not the
    best one for a weight, since the errors of the weights of one output add up.
    Layer by layer, in the order of the graph, each weight goes to one of its
    two neighbouring levels (see `learned_codes`), such that

        E[(y - q)^2],    y = W x,    q = Q(W) x'

    is small. x is the layer's input in the float network and x' that in the
    quantized one, whose earlier layers are rounded already (asymmetric
    reconstruction, Eq. 25; the activation behind the layer is left out). The
    error depends on the images through second moments alone: those of all
    images and places are used in every update, nothing is drawn at random, and
    the same images give the same codes.

    With re-estimated batch norm, the gain and the offset of what goes into a
    batch normalization do not matter. Then the error of its output is made
    small in place of that of the layer before it (`OutputError`), and x' is
    measured with batch statistics. This is not in the paper.

    The model is left as it was. `apply(model, Setting(point,
    rounded_weights=...))` writes the result.

    Args:
        calibration: What `calibrate` returned.
        point: `OperatingPoint` with quantized weights. Its activations, too,
            are quantized in x' where it has bits for them.
        step_sizes: `StepSizes` for the point.
        reestimated_batch_norm: Whether batch-norm statistics will be measured
            again on the rounded network (`reestimate_batch_norm`).
        batches: What `batches_of` takes, in place of the images of the
            calibration: training images, augmented as in training if
            batch norm is re-estimated; 512 to 2,048 in batches of some hundred.
        updates: Steps of Adam for each layer; 0 rounds to nearest.
        learning_rate: Of Adam.
        regularization: Weight of the term that makes each choice a clear one.
        progress: Whether to show a progress bar.

    Returns:
        `RoundedWeights` of all quantized kernels, first and last layers at
        bit-widths of their own too. Separable and einsum layers, and those
        with channels first, keep the nearest level; `skipped` names them.

    Raises:
        TypeError: If a quantizer is hosted by something else than this
            library's own layers.
        ValueError: If weights are in float at the point, it scales or rounds
            steps (scale or round `step_sizes` instead), a quantizer's grid has
            no zero or follows the weights (DoReFa), there are no images, or
            an option is out of range.
    """
    check_whole("updates", updates, 0)
    check_positive("the learning rate", learning_rate)
    check_not_negative("a regularization", regularization)
    point = OperatingPoint.parse(point)
    _check_point(point)
    check_kind("step_sizes", step_sizes, StepSizes, "ptq.lp_norm(...)")
    model = check_calibration(calibration).model
    check_roundable(model)
    images = rounding_images(model, calibration, batches, "adaround")
    with keeping(model):
        set_step_sizes(model, step_sizes)
        set_operating_point(model, point)
        rounding = _Rounding(model, images, reestimated_batch_norm)
        bar = ProgressBar(
            rounding.tensors.items(),
            f"adaround {point}",
            unit="layer",
            progress=progress,
        )
        for path, tensor in bar:
            rounding.round(
                path,
                tensor,
                updates=updates,
                learning_rate=learning_rate,
                regularization=regularization,
            )
    return rounding.result(
        {
            **step_sizes.provenance,
            "rounding": "adaround",
            "rounding_images": sum(batch.count for batch in images),
            "reestimated_batch_norm": bool(reestimated_batch_norm),
            "updates": updates,
            "learning_rate": learning_rate,
            "regularization": regularization,
        }
    )


class _Rounding:
    """The state of the walk through the layers."""

    def __init__(self, model, images, reestimated):
        self.tensors = {
            path: tensor
            for path, tensor in quantizers_of(model).items()
            if tensor.kind == "weight"
            and compat.to_numpy(tensor.state.bits) != FP
        }
        self._moments = LayerMoments(model, images, reestimated)
        self._codes, self._steps = {}, {}
        self._losses, self._skipped = {}, {}

    def round(self, path, tensor, **options):
        """Rounds one kernel and writes it into the model."""
        nearest = integers_of(tensor)
        codes, step_size = nearest.codes, nearest.step_size
        why = why_no_matrix(tensor.layer.layer)
        if why is not None:
            self._skipped[path] = why
        else:
            codes = self._learned(path, tensor, step_size, options)
        self._codes[path] = codes.astype(nearest.codes.dtype)
        self._steps[path] = TensorStep(step_size, nearest.bits)
        tensor.variable.assign(values_of(codes, step_size))

    def result(self, provenance):
        return RoundedWeights(
            self._codes,
            StepSizes(self._steps, provenance),
            {**provenance, "layers": self._losses},
            self._skipped,
        )

    def _learned(self, path, tensor, step_size, options):
        view = KernelMatrix(tensor.layer.layer)
        kernel = compat.to_numpy(tensor.variable).astype(np.float32)
        steps = view.to_matrix(np.broadcast_to(step_size, kernel.shape))
        matrix = view.to_matrix(kernel)
        norm = self._moments.norm_behind(tensor.layer)
        moments = self._moments.of(
            path, tensor.layer, view, matrix, centered=norm is not None
        )
        error = OutputError(
            steps[:, :1],
            moments.means(),
            None if norm is None else norm.epsilon,
        )
        codes, before, after = learned_codes(
            error, matrix / steps, _levels(tensor), **options
        )
        self._losses[path] = {
            "nearest": float(before.mean()),
            "adaround": float(after.mean()),
        }
        return view.to_kernel(codes)


def _levels(tensor):
    bits = float(compat.to_numpy(tensor.state.bits))
    return tuple(float(k) for k in tensor.quantizer.grid.levels(bits, 0.0))


def rounding_images(model, calibration, batches, what) -> list:
    """Returns the batches to measure on: those given, or the calibration's."""
    if batches is None:
        batches = calibration.batches
    batches = [] if batches is None else batches
    return list(batches_of(batches, model, f"images for {what}"))


def _check_point(point):
    plain = OperatingPoint(point.weight_bits, point.activation_bits)
    if point.weight_bits is None or point != plain:
        raise ValueError(
            "Expected an operating point with quantized weights, a step ratio "
            "of 1, no rounding of the step and values rounded to the nearest "
            f"level of their own grid. Received: '{point}'. For other steps, "
            "hand over step sizes that are scaled or rounded already."
        )


def check_roundable(model):
    """Raises what keeps `adaround` from rounding a model, if anything does."""
    if model is None:
        raise ValueError(
            "Expected a calibration that knows its model, since the outputs "
            "of layers are measured. Received one without: make it by "
            "ptq.calibrate(model, batches)."
        )
    for path, tensor in quantizers_of(model).items():
        if tensor.kind != "weight":
            continue
        quantizer = tensor.quantizer
        if not isinstance(tensor.layer, FakeQuantized):
            raise TypeError(
                "Expected a model of `fake_quantize_model`, or of "
                "`quantize_aware` with the native engine. "
                f"{path!r} is hosted by {type(tensor.layer).__name__}."
            )
        uniform = type(quantizer).prepare is Quantizer.prepare
        if not uniform or quantizer.grid.name not in _GRIDS:
            raise ValueError(
                "Expected weights on a grid with a zero that does not follow "
                f"them, one of {_GRIDS}. Received {quantizer!r} for {path!r}. "
                "Make the model with another Placement(weights=...)."
            )
