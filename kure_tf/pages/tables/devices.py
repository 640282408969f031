"""The table of devices, from the rows whose sweep is "device"."""

from kure_tf.pages import labels
from kure_tf.pages.tables.estimates import row_cell
from kure_tf.pages.tables.table import Cell, Table


def device_table(series) -> Table | None:
    """Returns device, point, value, drop and verdict of each run."""
    found = device_rows(series)
    if not found:
        return None
    metric = series[0].metric
    devices = list(dict.fromkeys(map(_device, (row for _, row in found))))
    found.sort(key=lambda item: devices.index(_device(item[1])))
    return Table(
        title="Devices",
        header=(
            *("Device", "Point", "Run"),
            f"{metric.heading}{metric.in_percent}",
            *(f"Drop{metric.in_points}", "Verdict"),
        ),
        rows=tuple(_line(name, row, metric) for name, row in found),
        caption=f"{_caption([row for _, row in found], metric)} "
        f"{labels.trained(series).capitalize()}.",
        labels=3,
    )


def device_rows(series) -> list[tuple]:
    """Returns [(name of the run, row)] of all devices."""
    return [pair for one in series for pair in one.rows_of("device")]


def budget_texts(rows, metric) -> str:
    """Returns the budgets that devices were held against."""
    budgets = {row.details["budget"] for row in rows if "budget" in row.details}
    return " or ".join(metric.budget(budget) for budget in sorted(budgets))


def _device(row):
    return str(row.details.get("device", row.placement))


def _line(name, row, metric):
    return (
        Cell(_device(row), _description(row)),
        Cell(str(row.point)),
        Cell(name),
        row_cell(row),
        Cell(_drop(row.details, metric)),
        Cell(_verdict(row.details)),
    )


def _description(row):
    profile = row.details.get("profile")
    return profile.get("description", "") if isinstance(profile, dict) else ""


def _drop(details, metric):
    if "drop" not in details:
        return "-"
    text = metric.difference(details["drop"], 2)
    error = details.get("drop_standard_error")
    return text if error is None else f"{text} ± {metric.difference(error, 2)}"


def _verdict(details):
    if "passed" not in details:
        return "-"
    verdict = "pass" if details["passed"] else "fail"
    return (
        f"{verdict}, too close to call" if details.get("too_close") else verdict
    )


def _caption(rows, metric):
    methods = ", ".join(dict.fromkeys(row.ptq for row in rows if row.ptq))
    again = dict.fromkeys(_device(r) for r in rows if r.reestimated_batch_norm)
    text = (
        "Each device is simulated: its grids, steps and operating point on a "
        f"fake-quantized model, step sizes by {methods or '-'}. Drop: "
        f"{metric.lost} against the same model in float, on the same "
        "examples; after ±, its standard error, from the examples on which "
        "the two differ. Pass: "
        f"a drop of at most the budget, {budget_texts(rows, metric)}; too "
        "close to call: within two standard errors of it."
    )
    if not again:
        return text
    names = ", ".join(again)
    return f"{text} Batch norm re-estimated on training examples: {names}."
