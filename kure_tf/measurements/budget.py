"""Accuracy budgets: how much accuracy may be lost."""

from kure_tf.ops.checks import check_real

_ROUNDING_ERROR = 1e-9  # Of 0.87 - 0.86; far below one image.


def check_budget(budget):
    """Raises a TypeError or ValueError unless it is an accuracy above 0."""
    allowed = "as a fraction above 0 and up to 1: 0.01 for one point"
    check_real("an accuracy budget", budget, allowed, lambda b: 0 < b <= 1)


def within(drop, budget) -> bool:
    """Returns whether a drop of accuracy is at most the budget."""
    return drop <= budget + _ROUNDING_ERROR
