"""Rows of the sweeps beyond bits and weight steps, grouped for their tables."""

import dataclasses
import statistics

from kure_tf.pages import labels
from kure_tf.pages.method import OWN_TABLES, Method, method_of

ACTIVATION_RATIO = "activation_step_size"
JOINT_RATIO = "joint_step_size"
ROUNDING_MODE = "rounding_mode"
CLIPPING = "clipping"
SENSITIVITY = "sensitivity"
CALIBRATION_SEED = "calibration_seed"
_BY_NAME = (ACTIVATION_RATIO, ROUNDING_MODE, CLIPPING)
_NAMES = (*_BY_NAME, JOINT_RATIO, SENSITIVITY, CALIBRATION_SEED)
# What a dimension goes through, as it is where nothing is done.
_VARIED = {
    ACTIVATION_RATIO: {"activation_step_scale": 1.0},
    JOINT_RATIO: {"step_scale": 1.0, "activation_step_scale": 1.0},
    ROUNDING_MODE: {"rounding_mode": "nearest"},
    CLIPPING: {"step_scale": 1.0},
}


def dimension_of(row) -> str | None:
    """Returns which of these sweeps a row belongs to, None for all others.

    What was done to the model decides, then the sweep's name: a row that was
    rounded down is none of the bit-width table's, whatever its sweep is
    called.
    """
    if row.layer is not None:
        return SENSITIVITY
    if row.calibration_seed is not None:
        return CALIBRATION_SEED
    if row.point.rounding_mode != "nearest":
        return ROUNDING_MODE
    if row.sweep in _BY_NAME:
        return row.sweep
    both_are_off = row.point.step_scale == row.point.activation_step_scale
    if row.sweep == JOINT_RATIO and both_are_off:
        return JOINT_RATIO
    if row.point.activation_step_scale != 1:
        return JOINT_RATIO if both_are_off else ACTIVATION_RATIO
    return None


@dataclasses.dataclass(frozen=True)
class Block:
    """What the rows of one table line, or column, have in common."""

    method: Method
    weight_bits: int | None
    activation_bits: int | None
    step_scale: float
    activation_step_scale: float
    step_rounding: str | None
    rounding_mode: str

    def label(self, methods=()) -> str:
        """Returns "W4 x0.9 pow2, lp_norm p=2, batch norm re-estimated".

        Args:
            methods: Those to tell its own apart from, as in `Method.label`.
        """
        bits = labels.short_point(self.weight_bits, self.activation_bits)
        return f"{self._point(bits)}, {self.method.label(methods)}"

    @property
    def point(self) -> str:
        """Returns the operating point as sweeps write it: "4/FP x0.9 pow2"."""
        return self._point(
            f"{self.weight_bits or 'FP'}/{self.activation_bits or 'FP'}"
        )

    def _point(self, bits):
        parts = [bits]
        ratios = [labels.ratio(self.step_scale)]
        if self.activation_step_scale != 1:
            ratios.append(labels.ratio(self.activation_step_scale))
        if ratios != ["1"]:
            parts.append(f"x{'/'.join(ratios)}")
        if self.step_rounding is not None:
            parts.append(labels.ROUNDING[self.step_rounding])
        if self.rounding_mode != "nearest":
            parts.append(self.rounding_mode.replace("_", "-"))
        return " ".join(parts)


def block_of(row, dimension=None) -> Block:
    """Returns the block of a row, without what its dimension goes through."""
    fields = {
        field.name: getattr(row.point, field.name)
        for field in dataclasses.fields(Block)
        if field.name != "method"
    }
    varied = _VARIED.get(dimension, {})
    return Block(method_of(row, *_NAMES), **{**fields, **varied})


def methods_in(blocks) -> list[Method]:
    """Returns the methods of `blocks`, for their labels."""
    return [block.method for block in blocks]


def found_in(series, dimension, value_of) -> dict:
    """Returns `{block: {series name: {value: rows by run}}}` of one dimension.

    Args:
        series: All series.
        dimension: Which sweep.
        value_of: Returns what a row's cell is found under in its block. Rows
            by run are a list of lists, one for each run of the series that
            has any: only repetitions of one measurement share a cell.
    """
    blocks = {}
    for one in series:
        for run in one.runs:
            cells = {}
            for row in measured_once(run):
                if dimension_of(row) == dimension:
                    key = (block_of(row, dimension), value_of(row))
                    cells.setdefault(key, []).append(row)
            for (block, value), rows in cells.items():
                values = blocks.setdefault(block, {}).setdefault(one.name, {})
                values.setdefault(value, []).append(rows)
    return blocks


def measured_once(run) -> list:
    """Returns the rows of a run, of equal measurements one.

    That of the most images; of equally many, the last one.
    """
    rows = {}
    for row in run.rows:
        if row.sweep in OWN_TABLES:
            continue
        which = (block_of(row), row.layer, row.others, row.calibration_seed)
        if which not in rows or row.examples >= rows[which].examples:
            rows[which] = row
    return list(rows.values())


def accuracy_where(one, matches) -> float | None:
    """Returns a series' mean accuracy over its runs at one point.

    None if it was not measured there.

    Args:
        one: A `Series`.
        matches: Whether a row stands at the point; asked of rows of the whole
            model on its own calibration images.
    """
    found = [
        [row]
        for run in one.runs
        for row in measured_once(run)
        if (row.layer, row.calibration_seed) == (None, None) and matches(row)
    ]
    return mean(found) if found else None


def baseline(one, block) -> float | None:
    """Returns a series' accuracy at the block's point, nothing else done.

    The mean over its runs; None if it was not measured.
    """
    return accuracy_where(one, lambda row: block_of(row) == block)


def mean(by_run) -> float:
    """Returns the mean accuracy over runs of the mean of each one's rows."""
    return statistics.fmean(
        statistics.fmean(row.value for row in rows) for rows in by_run
    )


def mean_and_deviation(by_run, draws=False) -> str:
    """Returns "85.2" or "85.2 ± 0.3", the deviation that of a sample.

    Args:
        by_run: Rows by run, as in `found_in`.
        draws: False: deviation of the runs, which differ in the seed of their
            training. True: of the rows within each run, averaged over runs.
    """
    runs = [[row.value for row in rows] for rows in by_run]
    samples = runs if draws else [[statistics.fmean(run) for run in runs]]
    deviations = [statistics.stdev(s) for s in samples if len(s) > 1]
    text = labels.percent(mean(by_run))
    if deviations:
        text += f" ± {labels.percent(statistics.fmean(deviations))}"
    return text
