"""How estimates read in tables: their cells, and what captions say."""

from kure_tf.pages import labels
from kure_tf.pages.estimate import Estimate
from kure_tf.pages.tables.table import Cell

NOT_MEASURED = Cell("-", "not measured")
BOLD = (
    "Bold: ahead of every other run by more than two standard errors of the "
    "difference."
)


def estimate_cell(estimate, rivals=()) -> Cell:
    """Returns a value, strong if it is clearly ahead of the rivals there are.

    Any of the `Estimate`s may be None.
    """
    if estimate is None:
        return NOT_MEASURED
    text = spread_text(estimate.metric, estimate.mean, estimate.deviation)
    rivals = [rival for rival in rivals if rival is not None]
    strong = bool(rivals) and all(map(estimate.clearly_ahead_of, rivals))
    return Cell(text, _hint(estimate), strong)


def row_cell(row) -> Cell:
    """Returns the value of a single row."""
    return estimate_cell(Estimate.of([row]))


def spread_text(metric, mean, deviation) -> str:
    """Returns "85.2", or "85.2 ± 0.3" if the deviation is not None."""
    text = metric.text(mean)
    if deviation is None:
        return text
    return f"{text} ± {metric.difference(deviation)}"


def error_caption(estimates) -> str:
    """States the metric, and the largest standard error of one value."""
    metric = estimates[0].metric
    examples = labels.ranged({estimate.examples for estimate in estimates})
    splits = "/".join(dict.fromkeys(e.split for e in estimates))
    measured = f"n = {examples} {splits} examples"
    errors = [estimate.sampling_error for estimate in estimates]
    if None in errors:
        return f"{metric.caption} Measured on {measured}."
    formula = " a, sqrt(a (1 - a) / n)" if metric.is_accuracy else ""
    return (
        f"{metric.caption} Standard error of one {metric.words}{formula} with "
        f"{measured}: at most {metric.points(max(errors), 2)} here."
    )


def seeds_caption(estimates) -> str:
    """Says what ± means where a table shows the mean over several seeds."""
    seeds = {len(e.values) for e in estimates} - {1}
    if not seeds:
        return ""
    count = labels.ranged(seeds)
    return f" After ±: standard deviation over {count} training seeds."


def _hint(estimate):
    text = f"{labels.count(estimate.examples)} {estimate.split} examples"
    if estimate.sampling_error is None:
        return text
    error = estimate.metric.points(estimate.sampling_error, 2)
    return f"{text}, standard error {error}"
