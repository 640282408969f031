"""Reports as CSV: one line per row, for spreadsheets and data frames."""

import csv
import dataclasses
import io
import json

from kure_tf.measurements.rows import Row
from kure_tf.settings.operating_point import OperatingPoint

_OF_POINTS = tuple(field.name for field in dataclasses.fields(OperatingPoint))
_OF_ROWS = tuple(
    field.name
    for field in dataclasses.fields(Row)
    if field.name not in ("run", "point")
)
COLUMNS = ("run", "seed", "point", *_OF_POINTS, *_OF_ROWS)


def encode(runs) -> str:
    """Returns all rows of `runs` as CSV text with a header.

    Bits are numbers or "FP", `details` is JSON; what is not known is empty.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for run in runs:
        for row in run.rows:
            writer.writerow(_line(run, row))
    return stream.getvalue()


def _line(run, row):
    line = {name: getattr(row, name) for name in ("run", "point", *_OF_ROWS)}
    line |= {name: getattr(row.point, name) for name in _OF_POINTS}
    line["seed"] = run.seed
    for bits in ("weight_bits", "activation_bits"):
        line[bits] = line[bits] or "FP"
    if row.standard_error is not None:
        line["standard_error"] = round(row.standard_error, 6)
    line["details"] = json.dumps(row.details, sort_keys=True)
    return line
