"""What was measured of a LiteRT file."""

import dataclasses

import tensorflow as tf

from kure_tf import compat
from kure_tf.data.ports import in_order, input_ports
from kure_tf.evaluation import evaluate, litert_runner

_BATCH_SIZE = 256


def file_fields(accuracy, loss, keras_loss) -> dict:
    """Returns what a file was verified by, as the fields of a `Row`.

    Args:
        accuracy: Accuracy of the file; None where labels are targets.
        loss: Its mean loss then; else None.
        keras_loss: The mean loss of the Keras model, or None.
    """
    if loss is None:
        return {"value": accuracy, "details": {}}
    return {
        "metric": "loss",
        "higher_is_better": False,
        "value": loss,
        "details": {"keras_loss": keras_loss, "loss_rise": loss - keras_loss},
    }


def with_metric(row, folder, split, metric, model):
    """Returns the row of a file, with the value of a metric in its details.

    Args:
        row: A `Row` of the file; if it has the value, it is returned as it is.
        folder: Where the file is.
        split: The `Split` to evaluate it on.
        metric: A metric, such as `evaluation.top_5`; None for none.
        model: The Keras model, which says the order of several inputs.
    """
    if metric is None or metric.metric_name in row.details:
        return row
    runner = litert_runner((folder / row.details["file"]).read_bytes())
    source, ports = split, input_ports(model)
    # The file has an order of its own, and the names of the input layers, of
    # which a model of a dictionary of inputs knows nothing.
    names = [
        one.name for one in tf.nest.flatten(compat.functional_inputs(model))
    ]
    if len(names) > 1:
        source = split.batches(_BATCH_SIZE).map(
            lambda x, y: (dict(zip(names, in_order(x, ports), strict=True)), y)
        )
    (found,) = evaluate(runner, source, (metric,)).values()
    details = {**row.details, metric.metric_name: found.value}
    return dataclasses.replace(row, details=details)
