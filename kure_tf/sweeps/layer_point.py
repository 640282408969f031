"""Operating points at which one layer stands apart from the others."""

import dataclasses

from kure_tf.fake_quantized import quantizers_of, set_operating_point
from kure_tf.settings.operating_point import OperatingPoint


@dataclasses.dataclass(frozen=True)
class LayerPoint:
    """One layer at an operating point, all others at another one.

    Attributes:
        layer: Path of the layer; None for all layers, and no others.
        point: Where it stands.
        others: Where the other layers stand; in float unless given.
    """

    layer: str | None
    point: OperatingPoint
    others: OperatingPoint = OperatingPoint()

    @property
    def others_or_none(self) -> OperatingPoint | None:
        """The point of the others; None if in float, or if there are none."""
        float_or_none = self.layer is None or self.others == OperatingPoint()
        return None if float_or_none else self.others

    @property
    def in_float(self) -> bool:
        """Whether all layers are in float."""
        return self.point == OperatingPoint() and self.others_or_none is None

    def set(self, model):
        """Moves `model` there; only variables change.

        Raises:
            ValueError: As `set_operating_point`, and if the layer has no
                quantizers.
        """
        if self.layer is None:
            set_operating_point(model, self.point)
            return
        set_operating_point(model, self.others)
        paths = [
            path
            for path in quantizers_of(model)
            if path.rpartition("/")[0] == self.layer
        ]
        set_operating_point(model, self.point, only=paths or [self.layer])
