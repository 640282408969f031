"""Step sizes learned for a network whose batch norm is estimated again."""

import functools

import numpy as np

from kure_tf.fake_quantized import keeping
from kure_tf.ops.checks import check_positive, check_whole
from kure_tf.ptq.best_norm import NORMS, best_norm
from kure_tf.ptq.calibration import check_calibration
from kure_tf.ptq.step_descent import descend, smallest_loss
from kure_tf.ptq.step_ratios import StepRatios
from kure_tf.settings import StepSizes


def learned_steps(
    calibration,
    point,
    *,
    norms=NORMS,
    updates=40,
    batch_size=256,
    learning_rate=0.05,
    seed=0,
    loss=None,
    progress=True,
) -> StepSizes:
    """Returns step sizes learned with batch statistics in the loop.

    Minimizes the model's loss on labelled training images while batch
    normalization takes its mean and variance from each batch, as it does in
    training. `reestimate_batch_norm`, afterwards, brings the network into that
    state for inference: the steps are the ones for it. With the statistics of
    the float model they are not, and `lapq` or `lapq_gradient` are. Adam goes
    along

        d loss / d log step = step * d loss / d step,

    where rounding counts as the identity (LSQ, Esser et al. 2020, Eq. 3; see
    `fake_quantize`), and the gradient flows through the moments of the batch.
    Only steps are learned, each output channel's own where it has one: no
    weight and no moving average changes.

    The start are the Lp steps of the norm with the smallest loss (`best_norm`).
    Each time all images were gone through the loss is measured on all of them,
    also with batch statistics; the smallest one decides, so that the result
    is no worse than the start.

    Two thousand images, augmented as in training, suit a ResNet-20 on CIFAR-10.
    40 updates on 256 images each cost 15 forward passes over 2,048 images, and
    what is measured another 10.

    Args:
        calibration, point, norms, loss, progress: As for `lapq`.
        updates: How often Adam moves the steps; 0 for none. Its learning rate
            falls to 0 as a cosine.
        batch_size: Images per update, which batch statistics are taken from:
            some hundred, and all where there are fewer.
        learning_rate: Of Adam: by how much, relatively, a step size moves at
            most in one of its first updates.
        seed: Of the draws of images; the same seed gives the same steps.

    Returns:
        As `lapq`, all losses with batch statistics; a backward pass counts as
        two forward ones.

    Raises:
        ValueError: If the model has no batch normalization, there are no
            labelled images, or a norm, the learning rate or the batch size is
            not positive.

    Example:
        >>> steps = learned_steps(calibration, OperatingPoint(3, None))
        >>> set_step_sizes(model, steps)
        >>> set_operating_point(model, "3/FP")
        >>> reestimate_batch_norm(model, batches)
    """
    check_positive("the learning rate", learning_rate)
    check_whole("a batch size", batch_size, 1)
    loss = (loss or check_calibration(calibration).loss).with_batch_statistics
    with keeping(loss.model):
        passes_before = loss.forward_passes
        loss_in_float = loss.in_float()
        measured = functools.partial(loss, point)
        start = best_norm(calibration, point, measured, norms)
        ratios = StepRatios(calibration, start.step_sizes, shared=False)
        smallest, vector = smallest_loss(
            descend(
                loss,
                point,
                ratios,
                _draws(loss.images, batch_size, seed),
                updates=updates,
                learning_rate=learning_rate,
            ),
            lambda vector: measured(ratios.step_sizes(vector)),
            (start.loss, np.zeros(ratios.size)),
            updates=updates,
            every=max(1, loss.images // batch_size),
            name=f"learned_steps {point}",
            progress=progress,
        )
        return ratios.step_sizes(
            vector,
            {
                "method": "learned_steps",
                **start.provenance(loss, loss_in_float, smallest),
                "updates": updates,
                "learning_rate": learning_rate,
                "batch_size": batch_size,
                "seed": seed,
                "forward_passes": round(loss.forward_passes - passes_before, 3),
            },
        )


def _draws(images, batch_size, seed):
    """Yields arrays of as many image numbers each, without end.

    Each image comes once before any comes again, but for a remainder that is
    smaller than a batch.
    """
    random = np.random.default_rng([seed])
    batch_size = min(batch_size, images)
    while True:
        order = random.permutation(images)
        for start in range(0, images - batch_size + 1, batch_size):
            yield order[start : start + batch_size]
