"""Step sizes out of a list: those that a device offers."""

import numpy as np

from kure_tf.ops.checks import check_choice
from kure_tf.ptq.lp_norm import lp_norm
from kure_tf.settings import StepSizes

CHOICES = ("search", "nearest", "up")


def predefined(
    calibration, point, *, allowed, choice="search", method=lp_norm
) -> StepSizes:
    """Returns for each tensor the best of the step sizes that are allowed.

    Some devices hold a fixed set of step sizes (KURE paper, section 5.1); the
    powers of two are the most common one, for which there are `pow2_nearest`,
    `pow2_up` and `pow2_search`.

    Args:
        calibration: What `calibrate` returned.
        point: `OperatingPoint`; tensors in float there are left out.
        allowed: The step sizes, positive, in the unit of the tensors.
        choice: "search" takes, for each step of each tensor, the allowed one
            with the smallest mean squared error; "nearest" the one nearest in
            the logarithm to the step that `method` gives; "up" the smallest
            one that is not below it, the largest of all where each is.
        method: The PTQ method for "nearest" and "up".

    Raises:
        ValueError: If a step size is not positive, none is given, or there is
            no such choice.
    """
    steps = check_allowed(allowed)
    check_choice("a choice", choice, CHOICES)
    facts = {
        "method": "predefined",
        "allowed": steps.tolist(),
        "choice": choice,
    }
    if choice == "search":
        return calibration.step_sizes(
            point,
            lambda tensor, bits: tensor.best_of(
                steps / np.reshape(tensor.unit, (-1, 1)), bits
            ),
            **facts,
        )
    given = method(calibration, point)

    def step_size_of(tensor, bits):
        found = given.tensors[tensor.path].step_size.reshape(-1)
        return _chosen(found * tensor.unit, steps, choice) / tensor.unit

    return calibration.step_sizes(
        point, step_size_of, **{**given.provenance, **facts}
    )


def check_allowed(allowed) -> np.ndarray:
    """Returns the list, sorted, or raises what is wrong with it."""
    try:
        steps = np.sort(np.asarray(list(allowed), np.float64))
    except ValueError:
        steps = np.zeros(0)
    if not steps.size or not (np.isfinite(steps) & (steps > 0)).all():
        raise ValueError(
            "Expected a list of positive, finite step sizes to choose from, "
            f"such as [0.01, 0.02, 0.05]. Received: {list(allowed)!r}."
        )
    return steps


def _chosen(found, steps, choice):
    if choice == "up":
        at = np.searchsorted(steps, found * (1 - 1e-6))  # Equal counts.
        return steps[np.minimum(at, steps.size - 1)]
    distance = np.abs(np.log(steps) - np.log(found)[:, np.newaxis])
    return steps[np.argmin(distance, axis=1)]
