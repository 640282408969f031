"""Where a row belongs, whatever its run: all that was set to measure it."""

import dataclasses
import functools

from kure_tf.pages import labels
from kure_tf.pages.dimensions import CHOICES, RATIOS
from kure_tf.settings.operating_point import OperatingPoint

BITS, LAYERS, DRAWS = "bits", "layers", "calibration draws"
"""Tables of what no dimension of the operating point tells."""

# Sweeps whose rows say all that was done to the model.
_KNOWN_SWEEPS = {
    *("bit_width", "step_size", "power_of_two", "activation_step_size"),
    *("joint_step_size", "clipping", "sensitivity", "calibration_seed"),
    *CHOICES,
}


@dataclasses.dataclass(frozen=True)
class Method:
    """How the numbers of one block of a table were made.

    Attributes:
        ptq, placement, reestimated_batch_norm, split: As in `Row`.
        sweep: Name of a sweep that is none of ours and may have done more to
            the model than its rows tell; None for all others.
    """

    ptq: str | None
    placement: str | None
    reestimated_batch_norm: bool
    split: str
    sweep: str | None

    def label(self, methods=()) -> str:
        """Returns its name; `methods` are those to tell it apart from."""
        return ", ".join((self.steps, *self.conditions(methods)))

    @property
    def steps(self) -> str:
        """Where step sizes come from: "minmax", "steps as trained"."""
        kept = self.ptq in (None, "trained")
        return "steps as trained" if kept else self.ptq

    def conditions(self, methods=()) -> list[str]:
        """Returns what its name says beside `steps`, as `label` does."""
        parts = []
        if self.sweep:
            parts.append(self.sweep)
        if self.reestimated_batch_norm:
            parts.append("batch norm re-estimated")
        if len({method.placement for method in methods}) > 1 and self.placement:
            own = self.placement == "qat"  # The one it was trained with.
            parts.append(f"{'own' if own else self.placement} placement")
        if len({method.split for method in methods}) > 1:
            parts.append(f"{self.split} split")
        return parts


@dataclasses.dataclass(frozen=True)
class Place:
    """All that was set to measure a row; equal places are repetitions.

    Attributes:
        method: How step sizes were found.
        point, layer, others, calibration_seed: As in `Row`.
    """

    method: Method
    point: OperatingPoint
    layer: str | None = None
    others: OperatingPoint | None = None
    calibration_seed: int | None = None

    @functools.cached_property
    def table(self) -> str:
        """The table it belongs to: what was done that is out of the way."""
        if self.layer is not None:
            return LAYERS
        if self.calibration_seed is not None:
            return DRAWS
        for field in CHOICES:
            if getattr(self.point, field) != getattr(OperatingPoint(), field):
                return field
        held = (ratio.name for ratio in RATIOS[::-1] if ratio.holds(self.point))
        return next(held, BITS)

    @property
    def bits(self) -> OperatingPoint:
        """The point with nothing but its bits."""
        return OperatingPoint(
            self.point.weight_bits, self.point.activation_bits
        )

    def label(self, methods=()) -> str:
        """Returns "W4 x0.9 pow2, lp_norm p=2"; see `Method.label`."""
        return f"{labels.point(self.point)}, {self.method.label(methods)}"


def place_of(row) -> Place:
    """Returns the place of one row."""
    in_float = row.point.in_float and row.others is None
    method = Method(
        ptq=None if in_float else row.ptq,
        placement=row.placement,
        reestimated_batch_norm=row.reestimated_batch_norm,
        split=row.split,
        sweep=None if row.sweep in _KNOWN_SWEEPS else row.sweep,
    )
    return Place(method, row.point, row.layer, row.others, row.calibration_seed)


def methods_in(places) -> list[Method]:
    """Returns the methods of `places`, for their labels."""
    return list(dict.fromkeys(place.method for place in places))
