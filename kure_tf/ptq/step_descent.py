"""Adam on the logarithms of step sizes, and the best of where it went."""

import math

import numpy as np

from kure_tf.progress import ProgressBar

_MOMENTUM, _MOMENTUM_OF_SQUARES, _EPSILON = 0.9, 0.99, 1e-12


def descend(loss, point, ratios, batches, *, updates, learning_rate):
    """Yields the vector of `StepRatios` after each update of Adam.

    The descent begins at their start; the learning rate, by how much a step
    size moves at most, relatively, falls to 0 as a cosine. `batches` is an
    iterator over the image numbers of each update.
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


def smallest_loss(vectors, loss_at, start, *, updates, every, name, progress):
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
    bar = ProgressBar(
        vectors,
        name,
        total=updates,
        unit="update",
        progress=progress,
    )
    for count, vector in enumerate(bar, 1):
        if count % every and count != updates:
            continue
        found = loss_at(vector)
        if found < best:
            best, best_vector = found, vector
        bar.set_postfix_str(f"{found:.4f}, smallest {best:.4f}")
    return best, best_vector
