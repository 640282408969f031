"""Adam on the logarithms of step sizes, and the best of where it went."""

import functools
import math

import numpy as np
from tqdm import tqdm

from kure_tf.fake_quantized import keeping_quantizers
from kure_tf.ptq.best_norm import best_norm
from kure_tf.ptq.step_ratios import StepRatios
from kure_tf.quantizers import StepSizes

_MOMENTUM, _MOMENTUM_OF_SQUARES, _EPSILON = 0.9, 0.99, 1e-12


def check_learning_rate(learning_rate):
    """Raises a ValueError for one that is not positive."""
    if not learning_rate > 0:
        raise ValueError(
            f"Expected a positive learning rate. Received: {learning_rate!r}."
        )


def refined_step_sizes(
    calibration,
    point,
    loss,
    batches,
    *,
    method,
    norms,
    updates,
    learning_rate,
    every=1,
    progress,
    **options,
) -> StepSizes:
    """Returns the steps of the smallest loss on a descent from `best_norm`.

    Args:
        calibration: What `calibrate` returned.
        point: `OperatingPoint`.
        loss: `CalibrationLoss` to descend and to measure.
        batches: Iterator over the image numbers of each update.
        method: Name of the PTQ method, for provenance and progress bar.
        norms: Norms p to start from.
        updates, learning_rate: See `descend`.
        every: See `smallest_loss`.
        progress: Whether to show a progress bar.
        **options: What else the provenance says.
    """
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
                batches,
                updates=updates,
                learning_rate=learning_rate,
            ),
            lambda vector: measured(ratios.step_sizes(vector)),
            (start.loss, np.zeros(ratios.size)),
            updates=updates,
            every=every,
            name=f"{method} {point}",
            progress=progress,
        )
        return ratios.step_sizes(
            vector,
            {
                "method": method,
                **start.provenance(),
                "loss": best,
                "loss_in_float": loss_in_float,
                "labelled_images": loss.images,
                "updates": updates,
                "learning_rate": learning_rate,
                **options,
                "forward_passes": round(loss.forward_passes - passes_before, 3),
            },
        )


def descend(loss, point, ratios, batches, *, updates, learning_rate):
    """Yields the vector of `StepRatios` after each update of Adam.

    The learning rate falls to 0 as a cosine.

    Args:
        loss: `CalibrationLoss`.
        point: `OperatingPoint`.
        ratios: `StepRatios`; the descent begins at their start.
        batches: Iterator over the image numbers of each update.
        updates: How many.
        learning_rate: By how much, relatively, a step size moves at most in
            one of the first updates.
    """
    vector, mean, squares = np.zeros((3, ratios.size))
    for update in range(updates if ratios.size else 0):
        step_sizes = ratios.step_sizes(vector)
        _, by_path = loss.gradient(point, step_sizes, next(batches))
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


def smallest_loss(vectors, loss_at, start, *, updates, every=1, name, progress):
    """Returns (loss, vector) of the smallest loss, the start included.

    Args:
        vectors: Vectors, such as those of `descend`.
        loss_at: `vector -> loss`, which may be NaN.
        start: (loss, vector) that must be beaten.
        updates: How many vectors there are at most.
        every: The loss is measured at each `every`-th vector and at the last.
        name: What the progress bar says.
        progress: Whether there is one.
    """
    best, best_vector = start
    bar = tqdm(
        vectors,
        name,
        total=updates,
        unit="update",
        leave=False,
        disable=not progress,
    )
    for count, vector in enumerate(bar, 1):
        if count % every and count != updates:
            continue
        found = loss_at(vector)
        if found < best:
            best, best_vector = found, vector
        bar.set_postfix_str(f"{found:.4f}, smallest {best:.4f}")
    return best, best_vector
