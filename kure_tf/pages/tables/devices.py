"""The table of devices, from the rows whose sweep is "device"."""

from kure_tf.measurements.budget import budget_text
from kure_tf.pages import labels
from kure_tf.pages.tables.models import title_of
from kure_tf.pages.tables.table import Cell, Table


def device_table(series) -> Table | None:
    """Returns device, point, accuracy, drop and verdict of each run."""
    blocks = {}
    for name, row in device_rows(series):
        device = str(row.details.get("device", row.scheme))
        blocks.setdefault((device, str(row.point)), []).append((name, row))
    if not blocks:
        return None
    rows = [row for block in blocks.values() for _, row in block]
    return Table(
        title="Devices",
        header=(
            *("Device", "Point", "Run"),
            *("Accuracy, %", "Drop, points", "Verdict"),
        ),
        rows=tuple(_rows(blocks)),
        caption=_caption(rows),
        labels=3,
    )


def device_rows(series) -> list[tuple]:
    """Returns [(name of the run, row)] of all devices."""
    return [
        (title_of(run, one), row)
        for one in series
        for run in one.runs
        for row in run.rows
        if row.sweep == "device"
    ]


def _rows(blocks):
    for (device, point), block in blocks.items():
        for i, (name, row) in enumerate(block):
            yield (
                Cell("" if i else device, _description(row)),
                Cell("" if i else point),
                Cell(name),
                _accuracy(row),
                Cell(_drop(row.details)),
                Cell(_verdict(row.details)),
            )


def _description(row):
    profile = row.details.get("profile")
    return profile.get("description", "") if isinstance(profile, dict) else ""


def _accuracy(row):
    return Cell(labels.percent(row.value), labels.accuracy_hint(row))


def _drop(details):
    if "drop" not in details:
        return "-"
    text = labels.percent(details["drop"], 2)
    error = details.get("drop_standard_error")
    return text if error is None else f"{text} ± {labels.percent(error, 2)}"


def _verdict(details):
    if "passed" not in details:
        return "-"
    verdict = "pass" if details["passed"] else "fail"
    return (
        f"{verdict}, too close to call" if details.get("too_close") else verdict
    )


def _caption(rows):
    budgets = {row.details["budget"] for row in rows if "budget" in row.details}
    limit = " or ".join(budget_text(budget) for budget in sorted(budgets))
    methods = dict.fromkeys(row.ptq for row in rows if row.ptq)
    again = dict.fromkeys(
        str(row.details.get("device", row.scheme))
        for row in rows
        if row.reestimated_batch_norm
    )
    text = (
        "Each device is simulated: its grids, steps and operating point on a "
        f"fake-quantized model, step sizes by {', '.join(methods) or '-'}. "
        "Drop: points of accuracy below the same model in float, on the same "
        "images; after ±, its standard error, from the images on which the "
        f"two differ. Pass: a drop of at most the budget, {limit}; too close "
        "to call: within two standard errors of it."
    )
    if again:
        text += (
            f" Batch norm re-estimated on training images: {', '.join(again)}."
        )
    return text
