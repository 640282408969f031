"""Step sizes with a small calibration loss, by its gradient."""

import functools
import math

import numpy as np

from kure_tf.fake_quantized import keeping
from kure_tf.ops.checks import check_real
from kure_tf.progress import ProgressBar
from kure_tf.ptq.best_norm import NORMS, best_norm
from kure_tf.ptq.calibration import check_calibration
from kure_tf.ptq.loss_model import LossModel
from kure_tf.ptq.step_changes import StepChanges, threshold_count
from kure_tf.ptq.step_ratios import LARGEST_RATIO, StepRatios
from kure_tf.settings import StepSizes
from kure_tf.settings.operating_point import OperatingPoint

_PASSES_OF_A_GRADIENT = 3
_GROUPS = 256
_REACH = 0.3  # Of the logarithms of the ratios that are tried,
_FAR_REACH = 0.6  # and after none of them was better.
_FEWEST_RATIOS, _MOST_RATIOS = 9, 201
# Bounds of what the model takes in memory.
_MOST_IMAGES_PER_GROUP = 32
_MOST_RATIOS_IN_ALL = 1 << 19
_MOST_THRESHOLDS_IN_ALL = 1 << 24
_FIRST_DAMPING, _SMALLEST_DAMPING = 1.0, 0.5
_AFTER_SUCCESS, _AFTER_FAILURE = 0.7, 3.0
_SUCCESS = 0.5  # Of the gain that was foretold.
_TRIALS = 3
_BOUND = math.log(LARGEST_RATIO)


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
    (`StepChanges`, `LossModel`), with what rounding does to each value in it.
    So the best of some hundred ratios is chosen for all step sizes at once, at
    no forward pass. The loss is then measured: if it has not become smaller,
    the next choice relies less on the model, and after three failures it is
    made anew, with ratios from further away.

    The smallest loss that was measured decides, so the result is no worse than
    its start. A gradient costs 3 forward passes and a measurement 1, however
    many tensors there are; `lapq` needs some ten passes for each tensor. What
    the model takes beside the network grows with the number of channels and
    levels. Each output channel that has a step size of its own moves on its
    own. No weight is changed.

    At points with stochastic rounding or power-of-two steps, and with a user's
    quantizer that rounds in other ways, the model foretells little
    (`StepChanges`), and `lapq` gets further.

    Args:
        calibration, point, norms, loss, progress: As for `lapq`.
        passes: How much may be computed, in forward passes over all images, a
            backward pass counted as two. The float model and the start take
            4 or 5 of them, whatever is allowed.
        seed: Of the ratios that are tried, the groups of images and the order
            of step sizes; the same seed gives the same steps.

    Returns:
        As `lapq`.

    Raises:
        ValueError: If there are no labelled images, a norm is not positive,
            `passes` is negative, or `loss` uses batch statistics.
    """
    spent = "forward passes that may be spent,"
    check_real(spent, passes, "at least 0", lambda count: count >= 0)
    point = OperatingPoint.parse(point)
    loss = loss or check_calibration(calibration).loss
    if loss.batch_statistics:
        raise ValueError(
            "Expected a loss with moving averages in batch normalization, "
            "since its gradient is taken of a few images at a time. Received "
            "one with batch statistics: learned_steps is made for that."
        )
    with (
        keeping(loss.model),
        ProgressBar(
            what=f"lapq_gradient {point}",
            total=passes,
            unit="pass",
            progress=progress,
        ) as bar,
    ):
        search = _Search(calibration, point, loss, norms, seed, bar)
        search.run(passes)
        return search.result(passes=passes, seed=seed)


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
            choice = model.best_choice(damping, self._random)
            moves = logarithms[choice]
            if not moves.any() or self._passes + 1 > passes:
                self._damping = _FIRST_DAMPING
                return False
            vector = np.clip(self._vector + moves, -_BOUND, _BOUND)
            found = self._loss(self._point, self._ratios.step_sizes(vector))
            gain = self._smallest - found
            if gain > 0:
                self._smallest, self._vector = found, vector
                if gain > -_SUCCESS * model.change(choice):
                    damping *= _AFTER_SUCCESS
                self._damping = max(damping, _SMALLEST_DAMPING)
            self._show()
            if gain > 0:
                return True
            damping *= _AFTER_FAILURE
        self._damping = damping / _AFTER_FAILURE
        return False

    def _modelled(self, reach):
        """Returns logarithms of ratios, the first one 0, and a `LossModel`."""
        step_sizes = self._ratios.step_sizes(self._vector)
        logarithms = np.linspace(-reach, reach, self._count(step_sizes))
        # Other ratios each time: the loss is rough.
        logarithms += self._random.uniform() * (logarithms[1] - logarithms[0])
        logarithms = np.append(0.0, logarithms)

        images = self._random.permutation(self._loss.images)
        groups = max(_GROUPS, len(images) // _MOST_IMAGES_PER_GROUP)
        groups = np.array_split(images, min(groups, len(images)))
        changes = StepChanges(
            self._calibration,
            self._point,
            step_sizes,
            np.exp(logarithms),
            len(groups),
        )
        for group, gradients in enumerate(
            self._loss.gradients_of_values(self._point, step_sizes, groups)
        ):
            changes.add(group, gradients)
            self._show()
        return logarithms, LossModel(changes.array, len(images) / len(groups))

    def _count(self, step_sizes):
        """Returns how many ratios are tried."""
        thresholds = threshold_count(self._calibration, step_sizes)
        count = min(
            _MOST_RATIOS_IN_ALL // self._ratios.size,
            _MOST_THRESHOLDS_IN_ALL // thresholds,
            _MOST_RATIOS,
        )
        return max(count, _FEWEST_RATIOS)

    def _show(self):
        self._bar.update(self._passes - self._bar.n)
        self._bar.set_postfix_str(
            f"smallest {self._smallest:.4f}", refresh=False
        )

    def result(self, **options) -> StepSizes:
        """Returns the best step sizes, with `options` in their provenance."""
        return self._ratios.step_sizes(
            self._vector,
            {
                "method": "lapq_gradient",
                **self._start.provenance(
                    self._loss, self._loss_in_float, self._smallest
                ),
                **options,
                "forward_passes": self._passes,
            },
        )
