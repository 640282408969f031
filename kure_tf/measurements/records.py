"""Rows as flat records, for spreadsheets and data frames."""

import csv
import dataclasses
import io
import json

from kure_tf import extras
from kure_tf.measurements.rows import Row
from kure_tf.settings.operating_point import OperatingPoint

_OF_POINTS = tuple(field.name for field in dataclasses.fields(OperatingPoint))
_OF_ROWS = tuple(
    field.name
    for field in dataclasses.fields(Row)
    if field.name not in ("run", "point")
)
COLUMNS = ("run", "seed", "point", *_OF_POINTS, *_OF_ROWS)

# What makes a spreadsheet take a cell for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\n")


def records(runs):
    """Yields one dictionary of `COLUMNS` for each row of `runs`.

    Operating points are their texts, and the fields of a row's own one are
    columns as well; what is not known is None.
    """
    for run in runs:
        for row in run.rows:
            record = {name: getattr(row, name) for name in ("run", *_OF_ROWS)}
            record |= {name: getattr(row.point, name) for name in _OF_POINTS}
            others = None if row.others is None else str(row.others)
            point = {"point": str(row.point), "others": others}
            yield {**record, **point, "seed": run.seed}


def to_csv(runs) -> str:
    """Returns all rows of `runs` as CSV text with a header.

    Bits are numbers or "FP", `details` is JSON; what is not known is empty.
    Text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for record in records(runs):
        error = record["standard_error"]
        cells = {
            "weight_bits": record["weight_bits"] or "FP",
            "activation_bits": record["activation_bits"] or "FP",
            "standard_error": None if error is None else round(error, 6),
            "details": json.dumps(record["details"], sort_keys=True),
        }
        cells = {**record, **cells}
        writer.writerow({name: _inert(cells[name]) for name in cells})
    return stream.getvalue()


def to_frame(runs):
    """Returns all rows of `runs` as a pandas DataFrame."""
    with extras.needed("A data frame (`Report.to_csv` does without)"):
        import pandas as pd
    return pd.DataFrame(list(records(runs)), columns=list(COLUMNS))


def _inert(cell):
    if not isinstance(cell, str):
        return cell
    text = cell.replace("\r", "\n")  # A lone \r would not be quoted.
    return f"'{text}" if text.startswith(_FORMULA) else text
