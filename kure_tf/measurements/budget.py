"""Accuracy budgets: how much accuracy may be lost."""

import numbers

_ROUNDING_ERROR = 1e-9  # Of 0.87 - 0.86; far below one image.


def check_budget(budget):
    """Raises a ValueError unless `budget` is an accuracy above 0."""
    number = isinstance(budget, numbers.Real) and not isinstance(budget, bool)
    if not number or not 0 < budget <= 1:
        raise ValueError(
            "Expected an accuracy budget as a fraction above 0 and up to 1, "
            f"such as 0.01 for one point. Received: {budget!r}."
        )


def within(drop, budget) -> bool:
    """Returns whether a drop of accuracy is at most the budget."""
    return drop <= budget + _ROUNDING_ERROR
