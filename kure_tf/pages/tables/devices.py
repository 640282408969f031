"""The table of devices, from the rows whose sweep is "device"."""

from kure_tf.pages.tables.estimates import row_cell
from kure_tf.pages.tables.table import Cell, Table


def device_table(series) -> Table | None:
    """Returns device, point, value, drop and verdict of each run."""
    blocks = {}
    for name, row in device_rows(series):
        block = blocks.setdefault((_device(row), row.point), [])
        block.append((name, row))
    if not blocks:
        return None
    metric = series[0].metric
    rows = [row for block in blocks.values() for _, row in block]
    return Table(
        title="Devices",
        header=(
            *("Device", "Point", "Run"),
            f"{metric.heading}{metric.in_percent}",
            *(f"Drop{metric.in_points}", "Verdict"),
        ),
        rows=tuple(_rows(blocks, metric)),
        caption=_caption(rows, metric),
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
    return str(row.details.get("device", row.scheme))


def _rows(blocks, metric):
    for (device, point), block in blocks.items():
        for i, (name, row) in enumerate(block):
            yield (
                Cell("" if i else device, _description(row)),
                Cell("" if i else str(point)),
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
    text = metric.small(details["drop"])
    error = details.get("drop_standard_error")
    return text if error is None else f"{text} ± {metric.small(error)}"


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
