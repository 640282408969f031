"""Step sizes with a small calibration loss, by its gradient."""

import functools

import numpy as np

from kure_tf.fake_quantized import keeping_quantizers
from kure_tf.ptq.best_norm import NORMS, best_norm
from kure_tf.ptq.step_descent import (
    check_learning_rate,
    descend,
    smallest_loss,
)
from kure_tf.ptq.step_ratios import StepRatios
from kure_tf.quantizers import StepSizes

_BATCH = 64


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
    check_learning_rate(learning_rate)
    loss = loss or calibration.loss
    with keeping_quantizers(loss.model):
        passes_before = loss.forward_passes
        loss_in_float = loss.in_float()
        measured = functools.partial(loss, point)
        start = best_norm(calibration, point, measured, norms)
        ratios = StepRatios(calibration, start.step_sizes, shared=False)
        best, vector = smallest_loss(
            descend(
                loss,
                point,
                ratios,
                _draws(loss.images, seed),
                updates=updates,
                learning_rate=learning_rate,
            ),
            lambda vector: measured(ratios.step_sizes(vector)),
            (start.loss, np.zeros(ratios.size)),
            updates=updates,
            name=f"lapq_gradient {point}",
            progress=progress,
        )
        return ratios.step_sizes(
            vector,
            {
                "method": "lapq_gradient",
                **start.provenance(),
                "loss": best,
                "loss_in_float": loss_in_float,
                "labelled_images": loss.images,
                "updates": updates,
                "learning_rate": learning_rate,
                "seed": seed,
                "forward_passes": round(loss.forward_passes - passes_before, 3),
            },
        )


def _draws(images, seed):
    """Yields numbers of 64 images, all different, without end."""
    random = np.random.default_rng([seed])
    while True:
        yield random.choice(images, min(_BATCH, images), replace=False)
