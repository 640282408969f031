"""Rows of the sweeps beyond bits and weight steps, grouped for their tables."""

import dataclasses
import statistics

from kure_tf.report import labels

ACTIVATION_RATIO = "activation_step_size"
JOINT_RATIO = "joint_step_size"
ROUNDING_MODE = "rounding_mode"
CLIPPING = "clipping"
SENSITIVITY = "sensitivity"
CALIBRATION_SEED = "calibration_seed"
_BY_NAME = (ACTIVATION_RATIO, JOINT_RATIO, ROUNDING_MODE, CLIPPING)


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
    if row.rounding_mode != "nearest":
        return ROUNDING_MODE
    if row.sweep in _BY_NAME:
        return row.sweep
    if row.activation_step_scale != 1:
        alone = row.step_scale == 1
        return ACTIVATION_RATIO if alone else JOINT_RATIO
    return None


@dataclasses.dataclass(frozen=True)
class Block:
    """What the rows of one table line, or column, have in common."""

    weight_bits: int | None
    activation_bits: int | None
    ptq: str | None
    scheme: str | None
    reestimated_batch_norm: bool
    split: str

    @property
    def label(self) -> str:
        """Returns "W4, lp_norm p=2, batch norm re-estimated"."""
        point = labels.short_point(self.weight_bits, self.activation_bits)
        return f"{point}, {self.method_label}"

    @property
    def method_label(self) -> str:
        """Returns the label without the bits."""
        kept = self.ptq in (None, "trained")
        parts = ["steps as trained" if kept else self.ptq]
        if self.reestimated_batch_norm:
            parts.append("batch norm re-estimated")
        return ", ".join(parts)


def block_of(row) -> Block:
    """Returns the block of a row."""
    return Block(
        **{f.name: getattr(row, f.name) for f in dataclasses.fields(Block)}
    )


def found_in(series, dimension) -> dict:
    """Returns `{block: {series name: rows}}` of one dimension."""
    blocks = {}
    for one in series:
        for run in one.runs:
            for row in run.rows:
                if dimension_of(row) == dimension:
                    names = blocks.setdefault(block_of(row), {})
                    names.setdefault(one.name, []).append(row)
    return blocks


def baseline(one, block) -> float | None:
    """Returns a series' accuracy at the block's point, nothing else done.

    The mean over its runs; None if it was not measured.
    """
    found = [
        row.accuracy
        for run in one.runs
        for row in run.rows
        if dimension_of(row) is None
        and row.sweep != "tflite"
        and block_of(row) == block
        and row.step_scale == 1
        and row.step_rounding is None
    ]
    return statistics.fmean(found) if found else None


def mean_and_deviation(rows) -> str:
    """Returns "85.2" or "85.2 ± 0.3", the deviation that of a sample."""
    accuracies = [row.accuracy for row in rows]
    text = labels.percent(statistics.fmean(accuracies))
    if len(accuracies) > 1:
        text += f" ± {labels.percent(statistics.stdev(accuracies))}"
    return text
