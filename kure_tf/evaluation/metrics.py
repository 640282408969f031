"""Metrics: functions of labels and outputs, one number per example."""

import numpy as np

from kure_tf.ops import cross_entropy as ops


def metric(name, *, higher_is_better):
    """Returns a decorator that gives a function a metric's name and direction.

    A metric is a function `(y, outputs) -> array [examples]` of the labels of
    a batch and what a model answers to it, both NumPy arrays (lists of them
    for several outputs). Its value over a data set is the mean over the
    examples, weighted by their sample weights.

    Args:
        name: What reports call it.
        higher_is_better: Whether a larger value is the better one.

    Example:
        >>> @metric("rounded_to_ten", higher_is_better=True)
        ... def rounded_to_ten(y, outputs):
        ...     return np.abs(y - outputs[:, 0]) < 5
    """

    def mark(function):
        function.metric_name = name
        function.higher_is_better = higher_is_better
        return function

    return mark


def check_metric(function):
    """Raises a TypeError unless `metric` has marked a function."""
    if not hasattr(function, "higher_is_better"):
        raise TypeError(
            "Expected metrics that know their name and direction. Received: "
            f"{function!r}. Say them: metric('name', higher_is_better=False)"
            "(function), from kure_tf.evaluation."
        )


@metric("accuracy", higher_is_better=True)
def top_1(y, outputs):
    """Returns the share of places where the largest output is the label's.

    Of a classifier that is 0 or 1 for each example; of a segmentation the
    share of its pixels. Between equal outputs the first one wins.

    Args:
        y: Class numbers `[examples, ...]`.
        outputs: Logits or probabilities `[examples, ..., classes]`.

    Raises:
        ValueError: If labels are no class numbers, or there is one class only.
    """
    y = _classes(y, outputs)
    return _mean(np.argmax(outputs, -1) == y)


@metric("top_5", higher_is_better=True)
def top_5(y, outputs):
    """Returns the share of places where fewer than 5 outputs beat the label's.

    Arguments and errors are those of `top_1`, and so is what wins of equals.
    """
    y = _classes(y, outputs)[..., np.newaxis]
    own = np.take_along_axis(outputs, y, -1)
    before = np.arange(outputs.shape[-1]) < y
    beaten = (outputs > own) | ((outputs == own) & before)
    # NaN beats nothing and is beaten by nothing, but it is no answer.
    answered = np.isfinite(own[..., 0])
    return _mean((beaten.sum(-1) < 5) & answered)


@metric("cross_entropy", higher_is_better=False)
def cross_entropy(y, outputs):
    """Returns -log softmax(outputs)[y], the mean over an example's places.

    Outputs are logits. For the loss of a model, whatever it ends in, see
    `loss_of`. Arguments and errors are those of `top_1`.
    """
    y = _classes(y, outputs)
    return _mean(ops.cross_entropy(outputs, y).numpy())


@metric("mean_absolute_error", higher_is_better=False)
def mean_absolute_error(y, outputs):
    """Returns mean |outputs - y| over all values of an example.

    Args:
        y: Numbers in the shape of the outputs; `[examples]` will do for
            `[examples, 1]`.
        outputs: Array `[examples, ...]`.

    Raises:
        ValueError: If the shapes differ.
    """
    y = np.asarray(y, np.float64)
    if y.ndim == outputs.ndim - 1 and outputs.shape[-1] == 1:
        y = y[..., np.newaxis]
    if y.shape != outputs.shape:
        raise ValueError(
            "Expected labels in the shape of the outputs, "
            f"{list(outputs.shape)}. Received: {list(y.shape)}."
        )
    return _mean(np.abs(outputs - y))


@metric("mean_iou", higher_is_better=True)
def mean_iou(y, outputs):
    """Returns the intersection over union of an example's segments.

        IoU of a class = pixels that are it in both
                         / pixels that are it in label or answer

    averaged over the classes that are in its label or its answer. The mean
    over examples counts each image alike, which has a standard error; the mean
    IoU of one confusion matrix over all pixels of a data set, where large
    segments count more, is another number.

    Arguments and errors are those of `top_1`, with at least one place.
    """
    y = _classes(y, outputs).reshape(len(outputs), -1)
    found = np.argmax(outputs, -1).reshape(len(outputs), -1)
    classes = np.arange(outputs.shape[-1])[:, np.newaxis, np.newaxis]
    both = ((y == classes) & (found == classes)).sum(-1)
    either = ((y == classes) | (found == classes)).sum(-1)
    return (both / np.maximum(either, 1)).sum(0) / (either > 0).sum(0)


def _classes(y, outputs):
    if outputs.shape[-1] < 2:
        raise ValueError(
            "Expected one output for each of two classes or more. Received "
            f"outputs of shape {list(outputs.shape)}. For a single sigmoid, "
            "pass a metric of your own."
        )
    return ops.checked_labels(y, outputs.shape)


def _mean(values):
    """Returns the mean over all axes but that of the examples."""
    if values.ndim == 1:
        return values
    return values.reshape(len(values), -1).mean(1, dtype=np.float64)
