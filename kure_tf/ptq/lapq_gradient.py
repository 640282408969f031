"""Step sizes with a small calibration loss, by its gradient."""

import numpy as np

from kure_tf.ptq.best_norm import NORMS
from kure_tf.ptq.step_descent import check_learning_rate, refined_step_sizes
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
    return refined_step_sizes(
        calibration,
        point,
        loss,
        _draws(loss.images, seed),
        method="lapq_gradient",
        norms=norms,
        updates=updates,
        learning_rate=learning_rate,
        progress=progress,
        seed=seed,
    )


def _draws(images, seed):
    """Yields numbers of 64 images, all different, without end."""
    random = np.random.default_rng([seed])
    while True:
        yield random.choice(images, min(_BATCH, images), replace=False)
