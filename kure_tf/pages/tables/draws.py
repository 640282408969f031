"""Tables of what several random draws give within one trained model."""

import dataclasses
import statistics

from kure_tf.pages.place import DRAWS, methods_in
from kure_tf.pages.series import estimates_at, places_of
from kure_tf.pages.tables.estimates import (
    NOT_MEASURED,
    error_caption,
    row_cell,
    spread_text,
)
from kure_tf.pages.tables.table import Cell, Table


def draws_cell(one, places) -> Cell:
    """Returns the mean of a `Series` over places that differ in a draw.

    After ±: the standard deviation over the draws within one run, averaged
    over the runs; that of the trainings is left out.
    """
    by_run = one.rows_at(places)
    if not by_run:
        return NOT_MEASURED
    values = [[row.value for row in rows] for rows in by_run]
    deviations = [statistics.stdev(v) for v in values if len(v) > 1]
    text = spread_text(
        one.metric,
        statistics.fmean(map(statistics.fmean, values)),
        statistics.fmean(deviations) if deviations else None,
    )
    return dataclasses.replace(row_cell(by_run[0][0]), text=text)


def calibration_table(series) -> Table | None:
    """Returns what other draws of calibration examples give."""
    places = places_of(series, DRAWS)
    if not places:
        return None
    return Table(
        title="Other draws of calibration examples",
        header=(
            *("Step sizes", "Run", "Draws"),
            *(series[0].metric.heading, "lowest", "highest"),
        ),
        rows=tuple(_rows(series, places)),
        caption="Calibrated again on as many training examples of other "
        "seeds; after ±: standard deviation over the draws within one trained "
        "model, averaged over the models; lowest and highest: of all draws "
        f"and models. {error_caption(estimates_at(series, places))}",
        labels=2,
    )


def _rows(series, places):
    blocks = {}
    for place in places:
        block = dataclasses.replace(place, calibration_seed=None)
        blocks.setdefault(block, []).append(place)
    methods = methods_in(blocks)
    for block, draws in blocks.items():
        label = block.label(methods)
        for one in series:
            rows = [row for rows in one.rows_at(draws) for row in rows]
            if rows:
                values = [row.value for row in rows]
                seeds = {row.calibration_seed for row in rows}
                yield (
                    *(Cell(label), Cell(one.name), Cell(str(len(seeds)))),
                    draws_cell(one, draws),
                    Cell(one.metric.text(min(values))),
                    Cell(one.metric.text(max(values))),
                )
