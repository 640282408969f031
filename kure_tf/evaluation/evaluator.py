"""One data set on which a model is evaluated again and again."""

from kure_tf.data.sources import check_repeatable
from kure_tf.evaluation.evaluate import Evaluation
from kure_tf.evaluation.keras_runner import keras_runner


class Evaluator:
    """Evaluates a model as often as wanted, compiled once.

    The graph is traced once, whatever operating points the model goes through.
    What it returns is what `evaluate` does.

    Args:
        source: Labelled examples that can be gone through again; see
            `evaluate`.
        metrics: As for `evaluate`.
        batch_size: Examples per step, for arrays and a `Split`.
        progress: Whether to show a progress bar.

    Attributes:
        per_example: `{metric name: array}` after a call: what each metric said
            of each example, in the order of the source.
        loss_name: After a call, what the model's loss is: `ModelLoss.name`;
            None where it was not asked for.

    Raises:
        ValueError: If the source can be gone through once only.
    """

    def __init__(self, source, metrics=None, *, batch_size=256, progress=False):
        check_repeatable(source, "to evaluate a model again on them")
        self._source = source
        self._metrics = metrics
        self._options = {"batch_size": batch_size, "progress": progress}
        self._runner = None
        self.per_example = {}
        self.loss_name = None

    def __call__(self, model) -> dict:
        """Returns `{metric name: Measured}` of `model`."""
        if self._runner is None or self._runner.model is not model:
            self._runner = keras_runner(model)
        evaluation = Evaluation(
            self._runner, self._source, self._metrics, **self._options
        )
        self.per_example = evaluation.per_example
        self.loss_name = evaluation.loss_name
        return evaluation.measured()
