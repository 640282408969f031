"""Reads what was measured for a panel from the files of its steps."""

import pathlib

from kure_tf.files import read_json
from kure_tf.measurements.report import Report
from kure_tf.paper.experiments.values import Value, accuracy


def sides(panel, folder) -> tuple[dict, dict, str]:
    """Returns the paper's numbers, ours, and what ours say of themselves.

    That is `{series: {column: Value}}` twice, and a text.
    """
    folder = pathlib.Path(folder)
    if panel.sweep == "theory":
        return *_theory(panel, folder), "the grid of Eq. 1"
    read = _weights if panel.sweep == "weights" else _accuracies
    return panel.published, *read(panel, folder)


def _accuracies(panel, folder):
    measured, facts = {}, set()
    for name, models in panel.series.items():
        found = {}
        for model in models:
            report = Report.load(folder / model / panel.sweep)
            for column, row in _rows(report.runs[0], panel.column).items():
                found.setdefault(column, []).append(row)
                facts.add((row.examples, row.split))
        measured[name] = {
            column: accuracy([row.value for row in rows], rows[0].examples)
            for column, rows in found.items()
        }
    details = ", ".join(f"{n:,} {split} images" for n, split in sorted(facts))
    return measured, details


def _rows(run, column_of):
    """Returns `{column: row}` of the last PTQ method, batch norm as trained."""
    last = run.provenance.get("ptq", [None])[-1]
    found = {}
    for row in run.rows:
        other = row.ptq not in (None, last)
        if row.sweep == "reference_parity":
            other = False
        column = column_of(row)
        if column is not None and not other and not row.reestimated_batch_norm:
            found[column] = row
    return found


def _weights(panel, folder):
    """Returns the kurtosis of a kernel, or its sensitivity by step ratio."""
    measured, layer = {}, ""
    for name, (model,) in panel.series.items():
        found = read_json(folder / model / "weights.json")
        layer = found["layer"]
        value = found[panel.column]
        if not isinstance(value, dict):
            value = {panel.column: value}
        measured[name] = {column: Value(v) for column, v in value.items()}
    return measured, f"kernel {layer}"


def _theory(panel, folder):
    found = read_json(folder / "theory" / "theory.json")
    if panel.column == "cost":
        return {}, _costs(found)
    published = _quantity(found, f"paper_{panel.column}", panel.series)
    return published, _quantity(found, panel.column, panel.series)


def _quantity(found, key, distributions):
    return {
        name: {
            f"M={row['bits']}": Value(row[key])
            for row in found["rows"]
            if row["distribution"] == name and row[key] is not None
        }
        for name in distributions
    }


def _costs(found, ratio=1.5):
    measured = {"uniform": {}, "normal": {}}
    for one in found["theorem_4"]:
        if one["rival"] == "normal":
            at = one["ratios"].index(ratio)
            column = f"M={one['bits']}"
            measured["uniform"][column] = Value(one["uniform_costs"][at])
            measured["normal"][column] = Value(one["rival_costs"][at])
    return measured
