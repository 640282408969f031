"""Step sizes with a small calibration loss, by its gradient."""

import functools
import math

import numpy as np
from tqdm import tqdm

from kure_tf.fake_quantized import keeping_quantizers
from kure_tf.ptq.best_norm import NORMS, best_norm
from kure_tf.ptq.step_ratios import StepRatios
from kure_tf.quantizers import StepSizes

_BATCH = 64
_MOMENTUM, _MOMENTUM_OF_SQUARES, _EPSILON = 0.9, 0.99, 1e-12


def lapq_gradient(
    calibration,
    point,
    *,
    norms=NORMS,
    updates=24,
    learning_rate=0.1,
    seed=0,
    loss=None,
    progress=True,
) -> StepSizes:
    """Returns step sizes refined jointly by gradients of the calibration loss.

    The objective, the images and the start are those of `lapq`; in place of
    Powell, Adam follows the gradient with respect to the logarithm of each
    step size,

        d loss / d log step = step * d loss / d step,

    where rounding counts as the identity (LSQ, Esser et al. 2020, Eq. 3; see
    `fake_quantize`). Each output channel that has a step of its own moves on
    its own. Weights are not trained. The learning rate falls to 0 as a cosine.

    The gradient shows the trend; around it the loss is rough, since a step
    that moves by a percent rounds many values otherwise. So the loss over all
    images is measured after each update, and the smallest one decides: the
    result is no worse than its start. An update costs 1 forward pass over the
    images and 3 over 64 of them, however many tensors there are. `lapq` needs
    some ten passes for each tensor, and gets further if it has them.

    Args:
        calibration: What `calibrate` returned for labelled images.
        point: `OperatingPoint`; tensors in float there are left out.
        norms: Norms p to start from.
        updates: How often Adam moves the steps; 0 for none.
        learning_rate: Of Adam: by how much, relatively, a step size moves at
            most in one of its first updates.
        seed: Of the draws of 64 images; the same seed gives the same steps.
        loss: A `CalibrationLoss` in place of `calibration.loss`, for other
            images (training images, never those of a test) or a model that
            returns probabilities.
        progress: Whether to show a progress bar with the loss.

    Returns:
        `StepSizes`; its provenance has the losses before and after, and the
        computation in forward passes over all images, a backward pass counted
        as two.

    Raises:
        ValueError: If there are no labelled images, or a norm or the learning
            rate is not positive.
    """
    if not learning_rate > 0:
        raise ValueError(
            f"Expected a positive learning rate. Received: {learning_rate!r}."
        )
    loss = loss or calibration.loss
    with keeping_quantizers(loss.model):
        passes_before = loss.forward_passes
        loss_in_float = loss.in_float()
        measured = functools.partial(loss, point)
        start = best_norm(calibration, point, measured, norms)
        ratios = StepRatios(calibration, start.step_sizes, shared=False)
        best_vector, best_loss = np.zeros(ratios.size), start.loss
        bar = tqdm(
            _descent(loss, point, ratios, updates, learning_rate, seed),
            f"lapq_gradient {point}",
            total=updates,
            unit="update",
            leave=False,
            disable=not progress,
        )
        for vector in bar:
            found = measured(ratios.step_sizes(vector))
            if found < best_loss:
                best_vector, best_loss = vector, found
            bar.set_postfix_str(f"{found:.4f}, smallest {best_loss:.4f}")
        return ratios.step_sizes(
            best_vector,
            {
                "method": "lapq_gradient",
                **start.provenance(),
                "loss": best_loss,
                "loss_in_float": loss_in_float,
                "labelled_images": loss.images,
                "updates": updates,
                "learning_rate": learning_rate,
                "seed": seed,
                "forward_passes": round(loss.forward_passes - passes_before, 3),
            },
        )


def _descent(loss, point, ratios, updates, learning_rate, seed):
    """Yields the vector of `StepRatios` after each update of Adam."""
    random = np.random.default_rng([seed])
    vector, mean, squares = np.zeros((3, ratios.size))
    for update in range(updates if ratios.size else 0):
        step_sizes = ratios.step_sizes(vector)
        index = random.choice(
            loss.images, min(_BATCH, loss.images), replace=False
        )
        _, by_path = loss.gradient(point, step_sizes, index)
        # One image that overflows must not end the search.
        gradient = np.nan_to_num(
            ratios.gradient(step_sizes, by_path), posinf=0.0, neginf=0.0
        )
        b, c, n = _MOMENTUM, _MOMENTUM_OF_SQUARES, update + 1
        mean = b * mean + (1 - b) * gradient
        squares = c * squares + (1 - c) * gradient**2
        deviation = np.sqrt(squares / (1 - c**n))
        rate = 0.5 * (1 + math.cos(math.pi * update / updates))
        move = mean / (1 - b**n) / (deviation + _EPSILON)
        vector = vector - learning_rate * rate * move
        yield vector
