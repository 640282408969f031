"""Layer margins: which layers lose most when they alone are quantized."""

import dataclasses

from kure_tf.report.series import Estimate, Method, place_of

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
    for (method, point), estimates in _sensitivities(one).items():
        in_float = one.float_estimate(method)
        if in_float is None or in_float.split != method.split:
            continue
        drops = [
            (layer, *in_float.ahead_of(estimate))
            for layer, estimate in estimates.items()
        ]
        drops.sort(key=lambda found: -found[1])
        yield LayerMargin(
            method, point, tuple(drops[:WORST_LAYERS]), len(drops)
        )


def _sensitivities(one):
    """Returns `{(method, point): {layer: Estimate}}`."""
    rows = {}
    for row in (row for run in one.runs for row in run.rows):
        # A layer whose step alone is off stands among quantized ones.
        alone = row.layer is not None and row.step_scale == 1
        if row.sweep == "sensitivity" and alone:
            method = dataclasses.replace(place_of(row).method, sweep=None)
            layers = rows.setdefault((method, row.point), {})
            layers.setdefault(row.layer, []).append(row)
    return {
        key: {
            layer: Estimate(
                tuple(row.accuracy for row in found),
                min(row.images for row in found),
                key[0].split,
            )
            for layer, found in layers.items()
        }
        for key, layers in rows.items()
    }
