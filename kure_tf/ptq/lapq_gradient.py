"""Step sizes with a small calibration loss, by its gradient."""

import functools

import numpy as np
from tqdm import tqdm

from kure_tf.fake_quantized import keeping_quantizers
from kure_tf.ptq.best_norm import NORMS, best_norm
from kure_tf.ptq.loss_model import LossModel
from kure_tf.ptq.step_changes import StepChanges
from kure_tf.ptq.step_ratios import StepRatios
from kure_tf.quantizers import StepSizes

_PASSES_OF_A_GRADIENT = 3
_GROUPS = 128
_REACH = 0.3  # Of the logarithms of the ratios that are tried,
_FAR_REACH = 0.6  # and after none of them was better.
_FEWEST_RATIOS, _MOST_RATIOS = 31, 201
_RATIOS_OF_ALL_STEPS = 1 << 19
_FIRST_DAMPING, _SMALLEST_DAMPING = 1.0, 0.5
_AFTER_SUCCESS, _AFTER_FAILURE = 0.7, 3.0
_TRIALS = 3


def lapq_gradient(
    calibration,
    point,
    *,
    norms=NORMS,
    passes=32,
    seed=0,
    loss=None,
    progress=True,
) -> StepSizes:
    """Returns step sizes refined jointly by gradients of the calibration loss.

    The objective, the images and the start are those of `lapq`, but no line is
    searched by trial. One gradient of the loss, by the quantized tensors
    themselves, tells how the loss of each image would change with the step
    size of every tensor or channel, and with all of them together
    (`StepChanges`, `LossModel`); what rounding does to each value is in it.
    So the best of some hundred ratios is chosen for all step sizes at once, at
    no forward pass. The loss is then measured: if it has not become smaller,
    the next choice relies less on the model, and after three failures it is
    made anew.

    The smallest loss that was measured decides, so the result is no worse than
    its start. A gradient costs 3 forward passes and a measurement 1, however
    many tensors there are; `lapq` needs some ten passes for each tensor. Each
    output channel that has a step size of its own moves on its own. No weight
    is changed.

    Args:
        calibration: What `calibrate` returned for labelled images.
        point: `OperatingPoint`; tensors in float there are left out.
        norms: Norms p to start from.
        passes: How much may be computed, in forward passes over all images, a
            backward pass counted as two. The float model and the start take
            4 or 5 of them, whatever is allowed.
        seed: Of the ratios that are tried and of the groups of images; the
            same seed gives the same steps.
        loss: A `CalibrationLoss` in place of `calibration.loss`, for other
            images (training images, never those of a test) or a model that
            returns probabilities.
        progress: Whether to show a progress bar with the smallest loss.

    Returns:
        `StepSizes`; its provenance has the losses before and after, and the
        computation in forward passes over all images.

    Raises:
        ValueError: If there are no labelled images, or a norm is not positive.
    """
    loss = loss or calibration.loss
    with (
        keeping_quantizers(loss.model),
        tqdm(
            desc=f"lapq_gradient {point}",
            total=passes,
            unit="pass",
            leave=False,
            disable=not progress,
        ) as bar,
    ):
        search = _Search(calibration, point, loss, norms, seed, bar)
        search.run(passes)
        return search.step_sizes(passes=passes, seed=seed)


class _Search:
    """Where the search stands."""

    def __init__(self, calibration, point, loss, norms, seed, bar):
        self._calibration, self._point, self._loss = calibration, point, loss
        self._random, self._bar = np.random.default_rng([seed]), bar
        self._passes_before = loss.forward_passes
        self._loss_in_float = loss.in_float()
        self._start = best_norm(
            calibration, point, functools.partial(loss, point), norms
        )
        self._ratios = StepRatios(
            calibration, self._start.step_sizes, shared=False
        )
        self._vector = np.zeros(self._ratios.size)
        self._smallest = self._start.loss
        self._damping = _FIRST_DAMPING

    @property
    def _passes(self):
        """Forward passes so far; sums of parts of passes are not exact."""
        return round(self._loss.forward_passes - self._passes_before, 3)

    def run(self, passes):
        """Moves all step sizes again and again while `passes` allow it."""
        reach = _REACH
        while (
            self._ratios.size
            and self._passes + _PASSES_OF_A_GRADIENT + 1 <= passes
        ):
            moved = self._move(passes, reach)
            reach = _REACH if moved else _FAR_REACH

    def _move(self, passes, reach):
        """Returns whether better step sizes were found."""
        logarithms, model = self._modelled(reach)
        damping = self._damping
        for _ in range(_TRIALS):
            moves = logarithms[model.smallest(damping, self._random)]
            if not moves.any() or self._passes + 1 > passes:
                break
            vector = self._vector + moves
            found = self._loss(self._point, self._ratios.step_sizes(vector))
            better = found < self._smallest
            if better:
                self._smallest, self._vector = found, vector
                self._damping = max(damping * _AFTER_SUCCESS, _SMALLEST_DAMPING)
            self._show()
            if better:
                return True
            damping *= _AFTER_FAILURE
        return False

    def _modelled(self, reach):
        """Returns logarithms of ratios, the first one 0, and a `LossModel`."""
        count = _RATIOS_OF_ALL_STEPS // self._ratios.size
        count = min(max(count, _FEWEST_RATIOS), _MOST_RATIOS)
        logarithms = np.linspace(-reach, reach, count)
        # Other ratios each time: the loss is rough.
        logarithms += self._random.uniform() * (logarithms[1] - logarithms[0])
        logarithms = np.append(0.0, logarithms)

        step_sizes = self._ratios.step_sizes(self._vector)
        changes = StepChanges(
            self._calibration, self._point, step_sizes, np.exp(logarithms)
        )
        images = self._random.permutation(self._loss.images)
        groups = np.array_split(images, min(_GROUPS, len(images)))
        for gradients in self._loss.gradients_of_values(
            self._point, step_sizes, groups
        ):
            changes.add(gradients)
            self._show()
        return logarithms, LossModel(changes.array(), len(images) / len(groups))

    def _show(self):
        self._bar.update(self._passes - self._bar.n)
        self._bar.set_postfix_str(
            f"smallest {self._smallest:.4f}", refresh=False
        )

    def step_sizes(self, **options) -> StepSizes:
        """Returns the best step sizes so far."""
        return self._ratios.step_sizes(
            self._vector,
            {
                "method": "lapq_gradient",
                **self._start.provenance(),
                "loss": self._smallest,
                "loss_in_float": self._loss_in_float,
                "labelled_images": self._loss.images,
                **options,
                "forward_passes": self._passes,
            },
        )
