"""Dimensions of the operating point that have tables of their own.

A field of `OperatingPoint` that is not here is part of a block's label, as its
text writes it: "minmax, pow2".
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Ratio:
    """Fields that are one ratio; at 1 the point is the ordinary one.

    Attributes:
        name: The table that its points belong to.
        fields: The fields of the operating point that are the ratio.
        title: Heading of its tables.
        off: When its plots show something.
        caption: What is multiplied.
    """

    name: str
    fields: tuple[str, ...]
    title: str
    off: str
    caption: str

    def holds(self, point) -> bool:
        """Whether `point` is off by this ratio."""
        ratios = {getattr(point, field) for field in self.fields}
        return len(ratios) == 1 and ratios != {1.0}

    def of(self, point) -> float:
        """Returns the ratio of a point that it holds for."""
        return getattr(point, self.fields[0])

    def at_one(self, place):
        """Returns the place of a point at ratio 1."""
        ones = dict.fromkeys(self.fields, 1.0)
        point = dataclasses.replace(place.point, **ones)
        return dataclasses.replace(place, point=point)


STEPS = Ratio(
    "step ratio",
    ("step_scale",),
    "Step ratio",
    "when the step size is off",
    "Every quantized weight's step size times the ratio: below 1 it is too "
    "small and clips, above 1 too large and coarser.",
)
RATIOS = (
    STEPS,
    Ratio(
        "activation ratio",
        ("activation_step_scale",),
        "Step ratio of the activations",
        "when the step size of the activations is off",
        "Every quantized activation's step size times the ratio; those of the "
        "weights stay.",
    ),
    Ratio(
        "joint ratio",
        ("step_scale", "activation_step_scale"),
        "Step ratio of weights and activations",
        "when all step sizes are off",
        "Every quantized step size times the ratio, of weights and "
        "activations at once.",
    ),
)

# Fields with few values, which become columns: {field: (title, caption)}. What
# follows a colon in a value is the seed of a draw.
CHOICES = {
    "rounding_mode": (
        "Rounding mode of the quantizer",
        "Half up: halves go to the upper level, not to the even one. Floor: "
        "the fraction is cut off, as truncating hardware does. Stochastic: up "
        "with the probability of the fraction, each value drawn once; after "
        "±: standard deviation over the seeds of that draw within one trained "
        "model, averaged over the models.",
    ),
    "grid": (
        "Grid of the weights",
        "Full: the steps chosen for the narrow grid, -(2^(b-1)-1)..2^(b-1)-1, "
        "with one level more at the low end, -2^(b-1).",
    ),
}
