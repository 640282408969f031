"""Rows of single layers, grouped by where they and the others stood."""

import dataclasses
import math

from kure_tf.pages.dimensions import (
    SENSITIVITY,
    Block,
    accuracy_where,
    block_of,
    found_in,
    mean,
)


@dataclasses.dataclass(frozen=True)
class LayerSweep:
    """What the rows of one sensitivity profile have in common.

    Attributes:
        block: How the one layer was quantized.
        point: The same as text, such as "4/FP".
        others: The point of the other layers as text; None is float.
        calibration_seed: Seed of the draw of calibration images; None is the
            data set's own.
    """

    block: Block
    point: str
    others: str | None
    calibration_seed: int | None

    def label(self, methods=()) -> str:
        """Returns "4/FP among 8/FP, minmax"; `methods` as in `Method.label`."""
        parts = [self.point, self.block.method.label(methods)]
        if self.others is not None:
            parts[0] += f" among {self.others}"
        if self.calibration_seed is not None:
            parts.append(f"calibration seed {self.calibration_seed}")
        return ", ".join(parts)


def layer_sweeps(series) -> dict:
    """Returns `{LayerSweep: {layer: {series name: rows by run}}}`."""
    found = found_in(
        series,
        SENSITIVITY,
        lambda row: (
            str(row.point),
            None if row.others is None else str(row.others),
            row.calibration_seed,
            row.layer,
        ),
    )
    groups = {}
    for block, names in found.items():
        for name, values in names.items():
            for (*place, layer), by_run in values.items():
                layers = groups.setdefault(LayerSweep(block, *place), {})
                layers.setdefault(layer, {})[name] = by_run
    return groups


def drops(series, sweep, layers) -> dict:
    """Returns `{layer: {series name: accuracy lost, or None}}`, worst first.

    Against the float model where the layer was alone, else against all layers
    at the point of the others.

    Args:
        series: All series.
        sweep: A `LayerSweep`.
        layers: Its value in `layer_sweeps`.
    """
    before = {one.name: _reference(one, sweep) for one in series}
    lost = {
        layer: {
            name: None if before[name] is None else before[name] - mean(by_run)
            for name, by_run in by_name.items()
        }
        for layer, by_name in layers.items()
    }

    def worst(layer):
        known = [drop for drop in lost[layer].values() if drop is not None]
        return -max(known, default=-math.inf)

    return {layer: lost[layer] for layer in sorted(lost, key=worst)}


def _reference(one, sweep):
    method = sweep.block.method
    if sweep.others is None:
        estimate = one.float_estimate(method)
        same = estimate is not None and estimate.split == method.split
        return estimate.mean if same else None

    def at_others(row):
        block = block_of(row)
        return (block.point, block.method) == (sweep.others, method)

    return accuracy_where(one, at_others)
