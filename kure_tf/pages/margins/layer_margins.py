"""Layer margins: which layers lose most when they alone are quantized."""

import dataclasses

from kure_tf.pages.layer_sweeps import layer_sweeps
from kure_tf.pages.method import Method
from kure_tf.pages.series import Estimate

WORST_LAYERS = 3


@dataclasses.dataclass(frozen=True)
class LayerMargin:
    """The layers that lose most when they alone are quantized.

    Attributes:
        method: How the step sizes were found.
        point: The operating point of the one layer, such as "4/FP".
        worst: Up to three `(layer, drop, standard error of the drop)`, the
            largest drop against float first.
        count: How many layers were measured.
    """

    method: Method
    point: str
    worst: tuple
    count: int


def layer_margins(one):
    """Yields the `LayerMargin`s of a series; see `margins`."""
    for sweep, layers in layer_sweeps([one]).items():
        method = sweep.block.method
        in_float = one.float_estimate(method)
        # Among quantized layers, or on other images, float says nothing.
        alone = (sweep.others, sweep.calibration_seed) == (None, None)
        if not alone or in_float is None or in_float.split != method.split:
            continue
        drops = [
            (layer, *in_float.ahead_of(_estimate(by_name[one.name])))
            for layer, by_name in layers.items()
        ]
        drops.sort(key=lambda found: -found[1])
        worst = tuple(drops[:WORST_LAYERS])
        yield LayerMargin(method, sweep.point, worst, len(drops))


def _estimate(by_run):
    rows = [row for rows in by_run for row in rows]
    return Estimate(
        tuple(row.value for row in rows),
        min(row.examples for row in rows),
        rows[0].split,
    )
