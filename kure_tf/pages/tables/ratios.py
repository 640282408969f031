"""Tables of the sweeps beyond bits and weight steps."""

from kure_tf.pages import labels
from kure_tf.pages.dimensions import (
    ACTIVATION_RATIO,
    CALIBRATION_SEED,
    CLIPPING,
    JOINT_RATIO,
    ROUNDING_MODE,
    baseline,
    found_in,
    mean_and_deviation,
    methods_in,
)
from kure_tf.pages.layer_sweeps import drops, layer_sweeps
from kure_tf.pages.tables.table import Cell, Table

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
    "stochastic": "stochastic",
}


def dimension_tables(series) -> list[Table]:
    """Returns the tables of all these sweeps that were measured."""
    return [
        *(table for kind in RATIOS for table in _ratio_table(series, kind)),
        *_rounding_table(series),
        *_sensitivity_tables(series),
        *_calibration_table(series),
    ]


def _ratio_table(series, kind):
    blocks = found_in(series, kind, ratio_of(kind))
    methods = methods_in(blocks)
    columns = [
        (f"{block.label(methods)}\n{name}", found)
        for block, names in blocks.items()
        for name, found in names.items()
    ]
    if not columns:
        return
    ratios = sorted({ratio for _, found in columns for ratio in found})
    title, caption = RATIOS[kind]
    yield Table(
        title=title,
        header=("Ratio", *(label for label, _ in columns)),
        rows=tuple(
            (
                Cell(
                    f"{ratio:.2f}" if ratio == round(ratio, 2) else f"{ratio:g}"
                ),
                *(_cell(found.get(ratio)) for _, found in columns),
            )
            for ratio in ratios
        ),
        caption=caption
        + _error([cell for _, found in columns for cell in found.values()]),
    )


def ratio_of(kind):
    """Returns the function that gives the ratio of a row of a ratio sweep."""
    if kind == ACTIVATION_RATIO:
        return lambda row: row.point.activation_step_scale
    return lambda row: row.point.step_scale


def _rounding_table(series):
    blocks = found_in(series, ROUNDING_MODE, _mode)
    if not blocks:
        return
    by_name = {one.name: one for one in series}
    methods = methods_in(blocks)
    modes = list(_MODES)
    lines, used = [], []
    for block, names in blocks.items():
        label = block.label(methods)
        for name, found in names.items():
            nearest = baseline(by_name[name], block)
            cells = {
                mode: _cell(by_run, draws=mode == "stochastic")
                for mode, by_run in found.items()
            }
            if nearest is not None:
                cells.setdefault("nearest", Cell(labels.percent(nearest)))
            lines.append((label, name, cells))
            used += found.values()
            label = ""
    modes = [m for m in modes if any(m in cells for *_, cells in lines)]
    yield Table(
        title="Rounding mode of the quantizer",
        header=("Step sizes", "Run", *(_MODES[m] for m in modes)),
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
        "once; after ±: standard deviation over the seeds of that draw within "
        "one trained model, averaged over the models. " + _error(used),
        labels=2,
    )


def _mode(row):
    return row.point.rounding_mode.partition(":")[0]


def _sensitivity_tables(series):
    sweeps = layer_sweeps(series)
    methods = methods_in(sweep.block for sweep in sweeps)
    for sweep, layers in sweeps.items():
        yield _sensitivity_table(series, sweep, layers, methods)


def _sensitivity_table(series, sweep, layers, methods):
    names = [
        one.name
        for one in series
        if any(one.name in by_name for by_name in layers.values())
    ]
    lines = []
    for layer, lost in drops(series, sweep, layers).items():
        cells = [Cell(layer)]
        for name in names:
            drop = lost.get(name)
            cells.append(_cell(layers[layer].get(name)))
            cells.append(
                _NOT_MEASURED if drop is None else Cell(labels.percent(drop))
            )
        lines.append(tuple(cells))
    found = [
        by_run for by_name in layers.values() for by_run in by_name.values()
    ]
    return Table(
        title=f"Sensitivity of layers: {sweep.label(methods)}",
        header=(
            "Layer",
            *(part for n in names for part in (f"accuracy\n{n}", f"drop\n{n}")),
        ),
        rows=tuple(lines),
        caption=f"{_sensitivity_caption(sweep)}, in points; worst layer first. "
        + _error(found),
    )


def _sensitivity_caption(sweep):
    if sweep.others is None:
        return (
            f"One layer alone at {sweep.point}, all others in float. Drop: "
            "accuracy lost against the float model's"
        )
    return (
        f"One layer at {sweep.point}, all others at {sweep.others}. Drop: "
        f"accuracy lost against that of all layers at {sweep.others}"
    )


def _calibration_table(series):
    blocks = found_in(series, CALIBRATION_SEED, lambda row: None)
    methods = methods_in(blocks)
    lines, used = [], []
    for block, names in blocks.items():
        label = block.label(methods)
        for name, found in names.items():
            (by_run,) = found.values()
            rows = [row for rows in by_run for row in rows]
            accuracies = [row.value for row in rows]
            seeds = len({row.calibration_seed for row in rows})
            lines.append(
                (
                    Cell(label),
                    Cell(name),
                    Cell(str(seeds)),
                    _cell(by_run, draws=True),
                    Cell(labels.percent(min(accuracies))),
                    Cell(labels.percent(max(accuracies))),
                )
            )
            used.append(by_run)
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
            "seeds; after ±: standard deviation over the draws within one "
            "trained model, averaged over the models; lowest and highest: of "
            "all draws and models. " + _error(used),
            labels=2,
        )


def _cell(by_run, draws=False):
    if not by_run:
        return _NOT_MEASURED
    hint = labels.accuracy_hint(by_run[0][0])
    return Cell(mean_and_deviation(by_run, draws), hint)


def _error(cells):
    """Returns what captions end in; each cell holds rows by run."""
    rows = [row for by_run in cells for rows in by_run for row in rows]
    largest = max(row.standard_error for row in rows)
    return (
        "Top-1 accuracy in %; standard error of one accuracy from the number "
        f"of images: at most {labels.percent(largest, 2)} points."
    )
