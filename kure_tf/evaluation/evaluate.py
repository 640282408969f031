"""Evaluating a model or a file: metrics over a whole data set."""

import dataclasses
import functools
import math

import numpy as np
import tensorflow as tf

from kure_tf.data.batches import batches_of, check_weights
from kure_tf.evaluation.keras_runner import keras_runner
from kure_tf.evaluation.metrics import check_metric
from kure_tf.evaluation.model_accuracy import accuracy_of
from kure_tf.evaluation.model_loss import ModelLoss, loss_of
from kure_tf.evaluation.runner import Runner
from kure_tf.ops.checks import check_several


@dataclasses.dataclass(frozen=True)
class Measured:
    """The value of a metric.

    Attributes:
        value: The mean over the examples, weighted by their sample weights.
        standard_error: That of the mean.
        examples: How many examples there were.
        higher_is_better: Whether a larger value is the better one.
    """

    value: float
    standard_error: float
    examples: int
    higher_is_better: bool


def evaluate(
    model, source, metrics=None, *, batch_size=256, progress=False
) -> dict:
    """Returns `{metric name: Measured}` of a model or file on a data set.

        value          = sum_i w_i x_i / sum_i w_i
        standard error = sqrt(sum_i w_i^2 (x_i - value)^2) / sum_i w_i

    over the examples i, x_i being what the metric says of them and w_i their
    sample weights, 1 where there are none. Of a share a of n examples that are
    0 or 1 the standard error is sqrt(a (1 - a) / n).

    Args:
        model: A Keras model, or a `Runner` of one or of a file.
        source: Labelled examples: a `Split`, arrays, a `tf.data.Dataset`, ...;
            see `batches_of`.
        metrics: Functions that `metric` has marked, such as `top_1`. None: the
            loss of the model (see `loss_of`), and before it its accuracy if it
            has one: top-1 where labels are class numbers, or the one of two
            classes that it is compiled with beside binary cross-entropy.
        batch_size: Examples per step, for arrays and a `Split`.
        progress: Whether to show a progress bar.

    Raises:
        TypeError: If a metric does not know its name and direction, or a file
            is evaluated without any.
        ValueError: If there are no examples or no labels, or a metric does not
            give one number per example.
    """
    runner = model if isinstance(model, Runner) else keras_runner(model)
    options = {"batch_size": batch_size, "progress": progress}
    return Evaluation(runner, source, metrics, **options).measured()


class Evaluation:
    """What a runner answers to all examples, as its metrics see it.

    Args:
        runner: A `Runner`.
        source, metrics: As for `evaluate`.
        **options: Of `batches_of`.
    """

    def __init__(self, runner, source, metrics=None, **options):
        if metrics is not None:
            check_several("metrics", metrics, "(top_1, top_5)")
        for one in metrics or ():
            check_metric(one)
        self._runner, self._metrics = runner, metrics
        self._values, self._sums, self._weights = {}, {}, []
        for batch in batches_of(
            source, runner, "examples to evaluate", **options
        ):
            self._add(batch)

    @property
    def loss_name(self):
        """What the loss of the model is; None where it was not asked for."""
        losses = [one for one in self._metrics if isinstance(one, ModelLoss)]
        return losses[0].name if losses else None

    def _add(self, batch):
        if batch.labels is None:
            raise ValueError(
                "Expected labelled examples to evaluate: batches of (x, y) or "
                "(x, y, sample_weight). Received examples without labels."
            )
        if self._metrics is None:
            self._metrics = _default_metrics(self._runner, batch.labels)
        outputs = self._runner.outputs(batch.inputs)
        outputs = outputs if len(outputs) > 1 else outputs[0]
        weights = batch.weights()
        self._weights.append(weights)
        for one in self._metrics:
            name = one.metric_name
            values = _checked(name, one(batch.labels, outputs), batch.count)
            self._values.setdefault(name, []).append(values)
            total = float(tf.reduce_sum(values * weights))
            self._sums[name] = self._sums.get(name, 0.0) + total

    def measured(self) -> dict:
        """Returns `{metric name: Measured}`."""
        weights = np.concatenate(self._weights).astype(np.float64)
        check_weights(weights)
        whole = float(weights.sum())
        found = {}
        for one in self._metrics:
            value = self._sums[one.metric_name] / whole
            values = self.per_example[one.metric_name].astype(np.float64)
            with np.errstate(invalid="ignore"):  # A loss may be infinite.
                squares = np.sum((weights * (values - value)) ** 2)
            found[one.metric_name] = Measured(
                value,
                math.sqrt(float(squares)) / whole,
                len(weights),
                one.higher_is_better,
            )
        return found

    @functools.cached_property
    def per_example(self) -> dict:
        """`{metric name: array}`: what each metric said of each example."""
        return {
            name: np.concatenate(values)
            for name, values in self._values.items()
        }


def _default_metrics(runner, labels):
    if runner.model is None:
        raise TypeError(
            f"Expected metrics to evaluate {runner.name} with: a file does not "
            "say what its loss is. Received none. Pass metrics=[top_1]."
        )
    accuracy = accuracy_of(runner.model, labels)
    loss = loss_of(runner.model, labels)
    return (loss,) if accuracy is None else (accuracy, loss)


def _checked(name, values, count):
    values = np.asarray(values)
    if values.dtype == bool:
        values = values.astype(np.float32)
    if values.shape != (count,):
        raise ValueError(
            f"Expected one number per example of the metric {name!r}, shape "
            f"[{count}]. Received the shape {list(values.shape)}."
        )
    return values
