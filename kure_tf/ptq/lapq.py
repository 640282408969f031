"""Step sizes with the smallest calibration loss, without gradients (LAPQ)."""

import functools
import math
import numbers

import numpy as np
from scipy import optimize

from kure_tf.fake_quantized import keeping
from kure_tf.ops.checks import check_kind, check_whole
from kure_tf.progress import ProgressBar
from kure_tf.ptq.best_norm import NORMS, best_norm
from kure_tf.ptq.calibration import check_calibration
from kure_tf.ptq.journal import Journal
from kure_tf.ptq.step_ratios import StepRatios
from kure_tf.settings import StepSizes

_REACH = math.log(2.0)  # Powell looks at half to twice the first steps,
_SPACING = 0.02  # down to 2 % apart.
_NOT_A_LOSS = 1e9  # NaN would lead the line search astray.


def lapq(
    calibration,
    point,
    *,
    norms=NORMS,
    maxiter=2,
    loss=None,
    journal=None,
    progress=True,
) -> StepSizes:
    """Returns step sizes refined jointly on the calibration loss by Powell.

    Loss aware post-training quantization (Nahshan et al. 2019): the Lp steps
    of the norm p with the smallest loss (`best_norm`) are the start, and
    Powell's method minimizes the model's loss over all steps together, along
    one line after the other. The search goes over the logarithm of each
    tensor's step ratio, from 1/2 to 2; the channels of a tensor move together.

    The smallest loss that was ever seen decides, so the result is no worse
    than its start. Nothing but the calibration images is looked at. Each line
    costs about ten forward passes over all of them, a round as many lines as
    there are tensors; `lapq_gradient` gets as far with a tenth of that.

    Args:
        calibration: What `calibrate` returned for labelled images.
        point: `OperatingPoint`; tensors in float there are left out.
        norms: Norms p to start from.
        maxiter: Rounds of Powell, each over all tensors; 0 for none.
        loss: A `CalibrationLoss` in place of `calibration.loss`, for other
            images (training images, never those of a test) or another loss.
        journal: File that keeps each loss. Run again with the same arguments,
            the search goes on where it was interrupted; with a larger
            `maxiter` it goes on from its end.
        progress: Whether to show a progress bar with the smallest loss.

    Returns:
        `StepSizes`; its provenance has the losses before and after, and the
        computation in forward passes over all images.

    Raises:
        TypeError: If `norms` or `maxiter` are no numbers.
        ValueError: If there are no labelled images, a norm is not positive,
            or `journal` is the file of another search.
    """
    norms = [float(check_kind("a norm", p, numbers.Real, 2.0)) for p in norms]
    check_whole("maxiter", maxiter, 0)
    loss = loss or check_calibration(calibration).loss
    with keeping(loss.model):
        loss_in_float = loss.in_float()
        key = {
            "point": str(point),
            "norms": norms,
            "images": loss.images,
            "calibration": calibration.provenance,
            # Tells one model and draw of images from another; the last digits
            # depend on the machine.
            "loss_in_float": float(f"{loss_in_float:.3g}"),
        }
        recorded = Journal(functools.partial(loss, point), journal, key)
        start = best_norm(calibration, point, recorded, norms)
        ratios = StepRatios(calibration, start.step_sizes, shared=True)
        with ProgressBar(
            what=f"lapq {point}",
            unit="loss",
            progress=progress,
        ) as bar:
            search = _Search(recorded, ratios, start, bar)
            if maxiter and ratios.size:
                search.run(maxiter)
        return ratios.step_sizes(
            search.best_vector,
            {
                "method": "lapq",
                **start.provenance(loss, loss_in_float, search.best_loss),
                "maxiter": maxiter,
                "forward_passes": 1 + recorded.count,
            },
        )


class _Search:
    """Powell's method, with the best vector that was seen on the way."""

    def __init__(self, loss, ratios, start, bar):
        self._loss, self._ratios, self._bar = loss, ratios, bar
        self.best_vector = np.zeros(ratios.size)
        self.best_loss = start.loss

    def run(self, maxiter):
        optimize.minimize(
            self._loss_at,
            self.best_vector,
            method="Powell",
            bounds=[(-_REACH, _REACH)] * self._ratios.size,
            options={"maxiter": maxiter, "xtol": _SPACING, "ftol": 1e-4},
        )

    def _loss_at(self, vector):
        found = self._loss(self._ratios.step_sizes(vector))
        # Coordinate descent may leave a good start for a worse minimum of a
        # line. Ties go to the earlier vector, which is nearer to the start.
        if found < self.best_loss:
            self.best_vector, self.best_loss = vector.copy(), found
        self._bar.update()
        self._bar.set_postfix_str(f"smallest {self.best_loss:.4f}")
        return found if math.isfinite(found) else _NOT_A_LOSS
