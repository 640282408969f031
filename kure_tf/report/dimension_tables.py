"""Tables of the sweeps beyond bits and weight steps."""

import dataclasses
import math
import statistics

from kure_tf.report import labels
from kure_tf.report.dimensions import (
    ACTIVATION_RATIO,
    CALIBRATION_SEED,
    CLIPPING,
    JOINT_RATIO,
    ROUNDING_MODE,
    SENSITIVITY,
    Block,
    baseline,
    found_in,
    mean_and_deviation,
)
from kure_tf.report.table import Cell, Table

_NOT_MEASURED = Cell("-", "not measured")
RATIOS = {
    ACTIVATION_RATIO: (
        "Step ratio of the activations",
        "Every quantized activation's step size times the ratio; those of the "
        "weights stay. ",
    ),
    JOINT_RATIO: (
        "Step ratio of weights and activations",
        "Every quantized step size times the ratio, of weights and "
        "activations at once. ",
    ),
    CLIPPING: (
        "Clipping ratio",
        "Clip of the weights over the largest absolute weight of each tensor "
        "or channel. ",
    ),
}
_MODES = {
    "nearest": "nearest",
    "half_up": "half up",
    "floor": "floor",
}


def dimension_tables(series) -> list[Table]:
    """Returns the tables of all these sweeps that were measured."""
    return [
        *(table for kind in RATIOS for table in _ratio_table(series, kind)),
        *_rounding_table(series),
        *(
            _sensitivity_table(series, sweep, layers)
            for sweep, layers in sensitivity_groups(series).items()
        ),
        *_calibration_table(series),
    ]


def _ratio_table(series, kind):
    blocks = found_in(series, kind)
    columns = [
        (block, name, by_ratio(rows))
        for block, names in blocks.items()
        for name, rows in names.items()
    ]
    if not columns:
        return
    ratios = sorted({ratio for _, _, found in columns for ratio in found})
    title, caption = RATIOS[kind]
    yield Table(
        title=title,
        header=(
            "Ratio",
            *(f"{block.label}\n{name}" for block, name, _ in columns),
        ),
        rows=tuple(
            (
                Cell(
                    f"{ratio:.2f}" if ratio == round(ratio, 2) else f"{ratio:g}"
                ),
                *(_cell(found.get(ratio)) for _, _, found in columns),
            )
            for ratio in ratios
        ),
        caption=caption
        + _error([r for _, _, f in columns for r in f.values()]),
    )


def ratio_of(row) -> float:
    """Returns the ratio that a row of a ratio sweep was measured at."""
    return (
        row.activation_step_scale
        if row.activation_step_scale != 1
        else row.step_scale
    )


def by_ratio(rows) -> dict:
    """Returns `{ratio: rows}`."""
    found = {}
    for row in rows:
        found.setdefault(ratio_of(row), []).append(row)
    return found


def _rounding_table(series):
    blocks = found_in(series, ROUNDING_MODE)
    if not blocks:
        return
    by_name = {one.name: one for one in series}
    modes = list(_MODES)
    lines, used = [], []
    for block, names in blocks.items():
        label = block.label
        for name, rows in names.items():
            found = {}
            for row in rows:
                mode = row.rounding_mode.partition(":")[0]
                found.setdefault(mode, []).append(row)
            nearest = baseline(by_name[name], block)
            cells = {mode: _cell(rows) for mode, rows in found.items()}
            if nearest is not None:
                cells.setdefault("nearest", Cell(labels.percent(nearest)))
            modes += [mode for mode in cells if mode not in modes]
            lines.append((label, name, cells))
            used += found.values()
            label = ""
    modes = [m for m in modes if any(m in cells for *_, cells in lines)]
    yield Table(
        title="Rounding mode of the quantizer",
        header=("Step sizes", "Run", *(_MODES.get(m, m) for m in modes)),
        rows=tuple(
            (
                Cell(label),
                Cell(name),
                *(cells.get(mode, _NOT_MEASURED) for mode in modes),
            )
            for label, name, cells in lines
        ),
        caption="Half up: halves go to the upper level, not to the even one. "
        "Floor: the fraction is cut off, as truncating hardware does. "
        "Stochastic: up with the probability of the fraction, each value drawn "
        "once; ± over its seeds. " + _error(used),
        labels=2,
    )


@dataclasses.dataclass(frozen=True)
class LayerSweep:
    """What the rows of one sensitivity profile have in common."""

    block: Block
    point: str
    ratio: float


def sensitivity_groups(series) -> dict:
    """Returns `{LayerSweep: {layer: {series name: rows}}}`."""
    groups = {}
    for block, names in found_in(series, SENSITIVITY).items():
        for name, rows in names.items():
            for row in rows:
                key = LayerSweep(block, row.point, ratio_of(row))
                by_name = groups.setdefault(key, {}).setdefault(row.layer, {})
                by_name.setdefault(name, []).append(row)
    return groups


def drops(series, sweep, layers) -> dict:
    """Returns `{layer: {series name: accuracy lost, or None}}`, worst first.

    Against the float model where the layer was alone, else against all layers
    at the same point without a ratio.

    Args:
        series: All series.
        sweep: A `LayerSweep`.
        layers: Its value in `sensitivity_groups`.
    """
    before = {one.name: _reference(one, sweep) for one in series}
    lost = {
        layer: {
            name: None
            if before[name] is None
            else before[name] - statistics.fmean(r.accuracy for r in rows)
            for name, rows in by_name.items()
        }
        for layer, by_name in layers.items()
    }

    def worst(layer):
        known = [drop for drop in lost[layer].values() if drop is not None]
        return -max(known, default=-math.inf)

    return {layer: lost[layer] for layer in sorted(lost, key=worst)}


def _reference(one, sweep):
    if sweep.ratio != 1:
        return baseline(one, sweep.block)
    estimate = one.float_estimate(sweep.block)
    return estimate and estimate.mean


def _sensitivity_table(series, sweep, layers):
    names = [
        one.name
        for one in series
        if any(one.name in by_name for by_name in layers.values())
    ]
    lines = []
    for layer, lost in drops(series, sweep, layers).items():
        cells = [Cell(layer)]
        for name in names:
            rows, drop = layers[layer].get(name), lost.get(name)
            cells.append(_cell(rows))
            cells.append(
                _NOT_MEASURED if drop is None else Cell(labels.percent(drop))
            )
        lines.append(tuple(cells))
    alone, point = sweep.ratio == 1, sweep.point
    caption = (
        f"One layer alone at {point}, all others in float. "
        if alone
        else f"One layer at {point}, all others at the same bits with ratio 1. "
    )
    against = "the float model's" if alone else "that of ratio 1 everywhere"
    found = [r for by_name in layers.values() for r in by_name.values()]
    return Table(
        title=f"Sensitivity of layers: {point}, {sweep.block.method_label}",
        header=(
            "Layer",
            *(part for n in names for part in (f"accuracy\n{n}", f"drop\n{n}")),
        ),
        rows=tuple(lines),
        caption=f"{caption}Drop: accuracy lost against {against}, in points; "
        "worst layer first. " + _error(found),
    )


def _calibration_table(series):
    blocks = found_in(series, CALIBRATION_SEED)
    lines, used = [], []
    for block, names in blocks.items():
        label = block.label
        for name, rows in names.items():
            accuracies = [row.accuracy for row in rows]
            seeds = len({row.calibration_seed for row in rows})
            lines.append(
                (
                    Cell(label),
                    Cell(name),
                    Cell(str(seeds)),
                    _cell(rows),
                    Cell(labels.percent(min(accuracies))),
                    Cell(labels.percent(max(accuracies))),
                )
            )
            used.append(rows)
            label = ""
    if lines:
        yield Table(
            title="Other draws of calibration images",
            header=(
                *("Step sizes", "Run", "Draws", "Accuracy"),
                *("lowest", "highest"),
            ),
            rows=tuple(lines),
            caption="Calibrated again on as many training images of other "
            "seeds; after ±: standard deviation over the draws. "
            + _error(used),
            labels=2,
        )


def _cell(rows):
    if not rows:
        return _NOT_MEASURED
    row = rows[0]
    hint = (
        f"{labels.count(row.images)} {row.split} images, standard error "
        f"{labels.percent(row.standard_error, 2)} points"
    )
    return Cell(mean_and_deviation(rows), hint)


def _error(groups):
    largest = max(row.standard_error for rows in groups for row in rows)
    return (
        "Top-1 accuracy in %; standard error of one accuracy from the number "
        f"of images: at most {labels.percent(largest, 2)} points."
    )
