"""The accuracy of a model, taken from what the model is."""

import collections.abc
import dataclasses

import numpy as np

from kure_tf import compat
from kure_tf.evaluation.metrics import top_1
from kure_tf.evaluation.model_loss import check_shape, takes_classes
from kure_tf.ops.cross_entropy import checked_labels

_LOSSES = (["binary_crossentropy"], ["binary_focal_crossentropy"])


@dataclasses.dataclass(frozen=True)
class ModelAccuracy:
    """The accuracy of a model, a metric.

    Attributes:
        answers: Function from outputs to the labels that they say.
        checked: Function from labels and the shape of outputs to an array of a
            label for each answer.
        function: `(labels, outputs)` to the share of right answers of each
            example.
    """

    answers: collections.abc.Callable
    checked: collections.abc.Callable
    function: collections.abc.Callable

    metric_name = "accuracy"
    higher_is_better = True

    def __call__(self, y, outputs):
        """Returns the share of right answers of each example."""
        return self.function(y, outputs)


def accuracy_of(model, labels) -> ModelAccuracy | None:
    """Returns the accuracy of a model, None if it has none.

    `top_1` where labels are class numbers. Of a model that is compiled with
    binary cross-entropy and an accuracy, the share of right answers as that one
    counts them: whether outputs are above its threshold. Labels between 0 and 1
    have none.

    Args:
        model: A built functional or sequential model.
        labels: Some of its labels; their shape says what they are.
    """
    if takes_classes(labels, model):
        return ModelAccuracy(_largest, checked_labels, top_1)
    losses = [name for name, *_ in compat.output_losses_of(model) or ()]
    threshold = compat.binary_threshold_of(model)
    if threshold is None or losses not in _LOSSES or not _are_binary(labels):
        return None

    def answers(outputs):
        return outputs > threshold

    def right(y, outputs):
        found = answers(outputs) == _in_shape(y, outputs.shape)
        return found.reshape(len(found), -1).mean(1, dtype=np.float64)

    return ModelAccuracy(answers, _in_shape, right)


def _largest(outputs):
    return outputs.argmax(-1)


def _are_binary(labels):
    return np.isin(labels, (0, 1)).all()


def _in_shape(labels, shape):
    """Returns labels in the shape of outputs."""
    check_shape(labels, shape)
    if not _are_binary(labels):
        raise ValueError(
            "Expected labels of 0 and 1 in all batches, as in the first one. "
            f"Received: {np.setdiff1d(labels, (0, 1))[:3].tolist()}. Of a "
            "model that is compiled without an accuracy the loss is measured."
        )
    return np.reshape(labels, (-1, *shape[1:]))
