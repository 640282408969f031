"""The metric of a run: found by its name, or a user's function."""

from kure_tf import evaluation
from kure_tf.evaluation.metrics import check_metric
from kure_tf.runs.user_function import user_function


def load_metric(name):
    """Returns the metric that a text names.

    Args:
        name: Name of a metric of `kure_tf.evaluation`, such as "top_5"; or
            "package.module:function", a function `(y, outputs)` that
            `evaluation.metric` has marked.

    Raises:
        TypeError: If a function of the user's is not marked.
        ValueError: If there is no such metric.
    """
    if ":" in name:
        found = user_function(name, "labels", "outputs")
        check_metric(found)
        return found
    known = [
        one
        for one in evaluation.__all__
        if hasattr(getattr(evaluation, one), "metric_name")
    ]
    if name not in known:
        raise ValueError(
            f"Expected a metric, one of {known}, or package.module:function. "
            f"Received: {name!r}."
        )
    return getattr(evaluation, name)
