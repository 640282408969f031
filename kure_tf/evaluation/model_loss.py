"""The loss of a model, taken from what the model is."""

import collections.abc
import dataclasses

import numpy as np
import tensorflow as tf

from kure_tf import compat
from kure_tf.ops.cross_entropy import (
    binary_cross_entropy,
    checked_labels,
    cross_entropy,
    soft_cross_entropy,
)

_OF_ONE_HOT = ("categorical_crossentropy", "categorical_focal_crossentropy")
_OF_CLASSES = "sparse_categorical_crossentropy"
_OF_EACH_NUMBER = (
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "huber",
    "log_cosh",
    "poisson",
)


@dataclasses.dataclass(frozen=True)
class ModelLoss:
    """The loss of a model, one number per example.

    Attributes:
        function: `(labels, outputs)` to a tensor `[examples, ...]`, for
            `checked` labels and the list of a model's outputs.
        name: What it is, for reports: "cross_entropy of logits".
        check: Function from labels as they came to what `function` takes.
    """

    function: collections.abc.Callable
    name: str
    check: collections.abc.Callable = lambda labels: labels

    metric_name = "loss"
    higher_is_better = False

    def checked(self, labels):
        """Returns labels as the loss takes them.

        Raises:
            ValueError: If they do not fit the outputs.
        """
        return self.check(labels)

    def per_example(self, labels, outputs):
        """Returns the loss of each example, for `checked` labels.

        Args:
            labels: Tensor, or several in a structure.
            outputs: What the model returned for the examples.
        """
        outputs = list(map(tf.convert_to_tensor, tf.nest.flatten(outputs)))
        values = self.function(labels, outputs)
        return _mean(tf.cast(values, tf.float32))

    def __call__(self, y, outputs):
        """Returns the loss of each example as an array: a metric."""
        return self.per_example(self.checked(y), outputs).numpy()


def loss_of(model, labels) -> ModelLoss:
    """Returns the loss of a model.

    The one it was compiled with, weighted over its outputs. If there is none,
    what its labels and its last activation say, for a model of one output:

    * class numbers: -log p[label], of softmax(outputs), or of the outputs
      themselves where the model ends in softmax or sigmoid;
    * numbers in the shape of the outputs: cross-entropy where it ends in
      softmax or sigmoid, else the mean squared error.

    Args:
        model: A built functional or sequential model.
        labels: Some of its labels; their shape says what they are.

    Raises:
        ValueError: If the model has several outputs and was not compiled with
            a loss, or the labels are one-hot and nothing says what for.
    """
    compiled = compat.output_losses_of(model)
    if compiled is not None:
        return _compiled(model, compiled)
    if len(model.outputs) != 1:
        raise ValueError(
            "Expected a model of one output, or one that is compiled with a "
            f"loss. {model.name!r} has {len(model.outputs)} outputs and none: "
            "model.compile(loss=[...])."
        )
    (ending,) = compat.last_activations(model)
    shape = tuple(model.outputs[0].shape)
    if takes_classes(labels, model):
        return _of_classes(ending, shape)
    if ending == "softmax":
        function, name = soft_cross_entropy, "cross_entropy of probabilities"
    elif ending == "sigmoid":
        function = binary_cross_entropy
        name = "binary_cross_entropy of probabilities"
    else:
        _check_not_one_hot(labels, shape)
        function, name = tf.math.squared_difference, "squared_error"

    def check(labels):
        check_shape(labels, shape)
        return labels

    return ModelLoss(_on_first(function), name, check)


def takes_classes(labels, model) -> bool:
    """Whether labels are class numbers for a model's one output."""
    if len(model.outputs) != 1:
        return False
    shape, given = model.outputs[0].shape, np.shape(labels)
    if len(shape) < 2 or shape[-1] == 1:
        return False
    column = len(given) == len(shape) and given[-1] == 1
    return len(given) == len(shape) - 1 or column


def _of_classes(ending, shape):
    from_logits = ending not in ("softmax", "sigmoid")
    return ModelLoss(
        lambda labels, outputs: cross_entropy(
            outputs[0], labels, from_logits=from_logits
        ),
        f"cross_entropy of {'logits' if from_logits else 'probabilities'}",
        lambda labels: checked_labels(labels, shape),
    )


def _compiled(model, losses):
    ports = [tuple(output.shape) for output in model.outputs]
    names = compat.output_names(model)
    kinds = [name for name, _, _ in losses]

    def check(labels):
        given = _per_output(labels, names)
        return [
            _fitting(y, kind, shape)
            for y, kind, shape in zip(given, kinds, ports, strict=True)
        ]

    def function(labels, outputs):
        labels = tf.nest.flatten(labels)  # Of one output a tensor will do.
        return tf.add_n(
            [
                weight * _mean(tf.cast(loss(*_alike(y, one)), tf.float32))
                for (_, loss, weight), y, one in zip(
                    losses, labels, outputs, strict=True
                )
                if loss is not None
            ]
        )

    return ModelLoss(
        function, f"compiled {', '.join(filter(None, kinds))}", check
    )


def _per_output(labels, names):
    if isinstance(labels, dict):
        labels = [labels.get(name) for name in names]
    labels = labels if isinstance(labels, list) else [labels]
    if len(labels) != len(names):
        raise ValueError(
            f"Expected labels for each of the outputs {names}: a tuple in that "
            f"order, or a dictionary. Received {len(labels)}."
        )
    return labels


def _fitting(y, kind, shape):
    """Returns labels as the compiled loss of that name takes them."""
    classes = shape[-1]
    given_classes = np.ndim(y) == len(shape) - 1 and classes not in (None, 1)
    if kind == _OF_CLASSES:
        return checked_labels(y, shape)
    if kind in _OF_ONE_HOT and given_classes:
        return np.eye(classes, dtype=np.float32)[checked_labels(y, shape)]
    if kind in _OF_EACH_NUMBER:
        check_shape(y, shape)
    return np.asarray(y)


def check_shape(labels, shape):
    """Raises a ValueError unless labels are one number for each output.

    Args:
        labels: Array `[examples, ...]`.
        shape: Shape of the outputs, None where any size will do. A last axis
            of 1 may be missing, in labels or outputs.

    Raises:
        ValueError: If they are not.
    """
    given, wanted = _without_one(np.shape(labels)), _without_one(shape)
    if len(given) != len(wanted) or any(
        None not in pair and pair[0] != pair[1]
        for pair in list(zip(given, wanted, strict=True))[1:]
    ):
        raise ValueError(
            "Expected labels in the shape of the outputs, "
            f"{list(shape)}. Received labels of shape "
            f"{list(np.shape(labels))}. Reshape them, or compile the model "
            "with the loss that they are for: model.compile(loss=...)."
        )


def _without_one(shape):
    shape = tuple(shape)
    return shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape


def _on_first(function):
    """Returns `function(outputs, labels)` of tensors of one shape."""

    def call(labels, outputs):
        labels, one = _alike(labels, outputs[0])
        return function(one, labels)

    return call


def _alike(labels, outputs):
    """Returns both with as many axes, labels as floats where they are."""
    labels = tf.convert_to_tensor(labels)
    if outputs.shape.rank == 1:  # Losses are means along the last axis.
        outputs = outputs[:, tf.newaxis]
    if outputs.shape[-1] == 1 and labels.shape.rank == outputs.shape.rank - 1:
        labels = labels[..., tf.newaxis]
    if labels.shape.rank == outputs.shape.rank and outputs.dtype.is_floating:
        labels = tf.cast(labels, outputs.dtype)
    return labels, outputs


def _check_not_one_hot(labels, shape):
    labels = np.asarray(labels)
    if labels.ndim != len(shape) or shape[-1] in (None, 1):
        return
    if np.isin(labels, (0, 1)).all() and (labels.sum(-1) == 1).all():
        raise ValueError(
            "Expected class numbers as labels, or a compiled model. Received "
            f"one-hot labels of shape {list(labels.shape)}: np.argmax(labels, "
            "-1), or model.compile(loss=...) with the loss they are for."
        )


def _mean(values):
    if values.shape.rank == 1:
        return values
    return tf.reduce_mean(tf.reshape(values, (tf.shape(values)[0], -1)), 1)
