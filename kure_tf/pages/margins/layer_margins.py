"""Layer margins: which layers lose most when they alone are quantized."""

import dataclasses

from kure_tf.pages.layers import drops, layer_profiles, worst_first
from kure_tf.pages.place import Method
from kure_tf.settings.operating_point import OperatingPoint

WORST_LAYERS = 3


@dataclasses.dataclass(frozen=True)
class LayerMargin:
    """The layers that lose most when they alone are quantized.

    Attributes:
        method: How the step sizes were found.
        point: The operating point of the one layer.
        worst: Up to three `(layer, drop, standard error of the drop or
            None)`, the largest drop against float first.
        count: How many layers were measured.
    """

    method: Method
    point: OperatingPoint
    worst: tuple
    count: int

    @property
    def label(self) -> str:
        """The point as text."""
        return str(self.point)


def layer_margins(one):
    """Yields the `LayerMargin`s of a series; see `margins`."""
    for profile, layers in layer_profiles([one]).items():
        lost = drops(one, profile, layers)
        # Among quantized layers, or on other examples, float says nothing.
        alone = (profile.others, profile.calibration_seed) == (None, None)
        if alone and lost:
            worst = worst_first([lost], lost)[:WORST_LAYERS]
            yield LayerMargin(
                profile.method,
                profile.point,
                tuple((layer, *lost[layer]) for layer in worst),
                len(lost),
            )
