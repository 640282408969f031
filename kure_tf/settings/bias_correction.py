"""Corrections of biases as data."""

import dataclasses


@dataclasses.dataclass(frozen=True, eq=False)
class BiasCorrection:
    """What to add to the biases of a fake-quantized model.

    Attributes:
        shifts: `{layer path: array [output channels]}`.
        skipped: Paths of quantized layers without a bias to correct.
    """

    shifts: dict
    skipped: tuple = ()
