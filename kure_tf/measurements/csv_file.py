"""Reports as CSV: one line per row, for spreadsheets and data frames."""

import csv
import dataclasses
import io
import json

from kure_tf.measurements.rows import Row

COLUMNS = (
    "run",
    "seed",
    *(
        f.name
        for f in dataclasses.fields(Row)
        if f.name not in ("run", "details")
    ),
    "standard_error",
    "details",
)


def encode(runs) -> str:
    """Returns all rows of `runs` as CSV text with a header.

    Bits are numbers or "FP", accuracies are fractions, `standard_error` is
    sqrt(a (1 - a) / n), `details` is JSON; what is not known is empty.
    """
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for run in runs:
        for row in run.rows:
            writer.writerow(_line(run, row))
    return stream.getvalue()


def _line(run, row):
    line = {
        field.name: getattr(row, field.name)
        for field in dataclasses.fields(row)
    }
    line["seed"] = run.seed
    line["weight_bits"] = row.weight_bits or "FP"
    line["activation_bits"] = row.activation_bits or "FP"
    line["standard_error"] = round(row.standard_error, 6)
    line["details"] = json.dumps(row.details, sort_keys=True)
    return line
