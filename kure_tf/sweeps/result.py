"""What an evaluation returned, as the fields of a row."""

import numbers

_COUNTS = ("examples", "images")
_HIGHER = ("accuracy", "auc", "mean_io_u", "precision", "r2_score", "recall")
_LOWER = (
    *("loss", "mae", "mse", "mean_absolute_error", "mean_squared_error"),
    "root_mean_squared_error",
)
_DIRECTIONS = {**dict.fromkeys(_HIGHER, True), **dict.fromkeys(_LOWER, False)}
"""Of accuracy and loss, and of Keras' metrics by their names."""


def result_fields(
    measured, *, metric=None, higher_is_better=None, examples=None
) -> dict:
    """Returns value, metric, direction, error, count and details of a `Row`.

    Args:
        measured: What `evaluate(model)` returned: `{metric: value}`, plain
            numbers or what `evaluation.evaluate` gives, with "examples" among
            them or not.
        metric, higher_is_better, examples: As for `run_sweep`.

    Raises:
        ValueError: If the metric was not measured, or nothing says its
            direction or how many examples it comes from.
    """
    counts = [measured[name] for name in _COUNTS if name in measured]
    values = {k: v for k, v in measured.items() if k not in _COUNTS}
    metric = metric or _main(values)
    if metric not in values:
        raise ValueError(
            "Expected `evaluate` to return a dictionary of metrics"
            f"{f' with {metric!r}' if metric else ''}, such as "
            "`model.evaluate(..., return_dict=True)` does for a model "
            f"compiled with metrics. Received: {sorted(measured)}."
        )
    value = values.pop(metric)
    return {
        "metric": metric,
        "value": _number(value),
        "higher_is_better": _direction(metric, value, higher_is_better),
        "standard_error": getattr(value, "standard_error", None),
        "examples": _count(metric, value, counts, examples),
        "details": {name: _number(other) for name, other in values.items()},
    }


def _main(values):
    """Returns the metric that a row is about, None if there is none."""
    if "accuracy" in values:
        return "accuracy"
    others = [name for name in values if name != "loss"]
    return next(iter(others or values), None)


def _number(value):
    return float(value if isinstance(value, numbers.Real) else value.value)


def _direction(metric, value, given):
    known = getattr(value, "higher_is_better", _DIRECTIONS.get(metric))
    direction = known if given is None else given
    if direction is None:
        raise ValueError(
            f"Expected to learn whether a higher {metric!r} is better: "
            "neither its name nor what `evaluate` returned says so. Pass "
            "run_sweep(..., higher_is_better=False), or True."
        )
    return direction


def _count(metric, value, counts, given):
    count = getattr(value, "examples", counts[0] if counts else given)
    if count is None:
        raise ValueError(
            f"Expected to learn how many examples the {metric} comes from: "
            "its standard error needs them. Neither `examples` nor what "
            "`evaluate` returned says so. Pass run_sweep(..., "
            "examples=len(labels)), or evaluate=dataset.test."
        )
    return int(count)
