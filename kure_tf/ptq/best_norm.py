"""The norm p whose Lp steps have the smallest calibration loss."""

import dataclasses

import numpy as np

from kure_tf.ptq.lp_norm import lp_norm
from kure_tf.settings import StepSizes

NORMS = (2.0, 2.5, 3.0)

_SMALLEST, _LARGEST = 1.0, 5.0  # Where a parabola through NORMS is trusted.


@dataclasses.dataclass(frozen=True)
class BestNorm:
    """Where a search of step sizes by the calibration loss starts.

    Attributes:
        step_sizes: The Lp steps of the smallest loss.
        p: Their norm.
        losses: `{norm: calibration loss}` of all that were tried.
    """

    step_sizes: StepSizes
    p: float
    losses: dict

    @property
    def loss(self):
        """The smallest loss; infinity if none is a number."""
        loss = self.losses[self.p]
        return loss if np.isfinite(loss) else np.inf

    def provenance(self, loss, in_float, smallest):
        """Returns what step sizes that were found from here should say.

        Args:
            loss: The `CalibrationLoss`.
            in_float, smallest: What it was in float, and in the end.
        """
        return {
            "p": self.p,
            "loss_of_p": {f"{p:g}": found for p, found in self.losses.items()},
            "first_loss": self.losses[self.p],
            "loss": smallest,
            "loss_name": loss.name,
            "loss_in_float": in_float,
            "labelled_images": loss.images,
        }


def best_norm(calibration, point, loss, norms=NORMS) -> BestNorm:
    """Tries several norms, and the one that a parabola through them suggests.

    LAPQ (Nahshan et al. 2019, section 4.2): the loss is taken as quadratic in
    p. Its minimum is tried as well, cut to 1 .. 5, if the parabola has one;
    the best of all is returned.

    Args:
        calibration, point, norms: As for `lapq`.
        loss: `StepSizes -> float`.

    Raises:
        ValueError: If there are no norms, or one is not positive.
    """
    if not len(norms):
        raise ValueError(
            f"Expected at least one norm p, such as {NORMS}. Received none."
        )
    tried = {}

    def attempt(p):
        step_sizes = lp_norm(calibration, point, p=p)
        tried[float(p)] = (loss(step_sizes), step_sizes)

    for p in norms:
        attempt(p)
    losses = {p: value for p, (value, _) in tried.items()}
    p = parabola_minimum(list(losses), list(losses.values()))
    if p is not None:
        p = min(max(p, _SMALLEST), _LARGEST)
        if p not in tried:
            attempt(p)
    losses = {p: value for p, (value, _) in tried.items()}
    best = min(losses, key=lambda p: (np.isnan(losses[p]), losses[p]))
    return BestNorm(tried[best][1], best, losses)


def parabola_minimum(x, y):
    """Returns where the parabola through (or nearest to) points is smallest.

    None if there are fewer than three points, one is not finite, or the
    parabola opens downwards: its vertex would be the worst place.
    """
    if len(x) < 3 or not np.isfinite(y).all():
        return None
    a, b, _ = np.polyfit(x, y, 2)
    return float(-b / (2 * a)) if a > 0 else None
