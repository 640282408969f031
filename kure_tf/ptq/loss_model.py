"""The loss as a function of all step sizes at once, to the second order."""

import numpy as np

_ROUNDS = 6


class LossModel:
    """Foretells the loss for any choice of one ratio for each step size.

    With a_i the change of the loss of image i to the first order, summed over
    all step sizes (`StepChanges`),

        loss(choice) = loss + E[a] + damping / 2 E[a^2].

    E[a^2] is the second order term with the empirical Fisher information in
    place of the Hessian; it knows how the errors of layers add up or cancel. A
    damping above 1 keeps to choices where less depends on it (Levenberg 1944,
    Marquardt 1963). Known are the means over groups of m images each, or
    nearly so; E[a^2] is estimated from them as

        E[a]^2 + m Var[group means of a].

    Args:
        changes: Array `[step sizes, groups, k]` of `StepChanges`; the first of
            the k ratios is 1.
        images_per_group: m.
    """

    def __init__(self, changes, images_per_group):
        self._changes = changes
        self._images_per_group = images_per_group
        self._means = changes.mean(1)
        self._squares = np.einsum("sgk,sgk->sk", changes, changes)
        self._squares /= changes.shape[1]

    def best_choice(self, damping, random) -> np.ndarray:
        """Returns the numbers of the ratios, one for each step size.

        Step sizes get their best ratio one after the other, given those of
        the others, until none changes any more or six times.

        Args:
            damping: Weight of the second order, positive.
            random: `numpy.random.Generator`, for the order of step sizes.
        """
        count, groups, _ = self._changes.shape
        choice = np.zeros(count, int)
        total = np.zeros(groups, np.float32)
        for _ in range(_ROUNDS):
            before = choice.copy()
            for one in random.permutation(count):
                own = self._changes[one]
                total -= own[:, choice[one]]
                choice[one] = np.argmin(self._change(one, total, damping))
                total += own[:, choice[one]]
            if (choice == before).all():
                break
        return choice

    def change(self, choice) -> float:
        """Returns the change of the loss that a choice is to bring."""
        total = sum(
            changes[:, number]
            for changes, number in zip(self._changes, choice, strict=True)
        )
        mean = total.mean()
        square = mean**2 + self._images_per_group * total.var()
        return float(mean + square / 2)

    def _change(self, one, others, damping):
        """Returns the change of the loss for each ratio of one step size.

        `others` is the sum of the changes for those of the others, `[groups]`.
        """
        mean = others.mean() + self._means[one]
        products = (others @ others + 2 * others @ self._changes[one]) / len(
            others
        )
        variance = np.maximum(products + self._squares[one] - mean**2, 0.0)
        square = mean**2 + self._images_per_group * variance
        return mean + damping / 2 * square
