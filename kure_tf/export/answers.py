"""What a model and files answer to the same labelled examples."""

import numpy as np
import tensorflow as tf

from kure_tf.data.batches import batches_of
from kure_tf.evaluation.chance import ChanceCheck
from kure_tf.ops.cross_entropy import checked_labels

_OTHER_MODELS = (
    "Of models that are no classifiers write the file by "
    "write(to_integer_graph(...)), and compare litert_runner(content) with "
    "integer_runner(graph)."
)


def answers_of(split, model, others, *, names=None, batch_size, progress=True):
    """Yields labels, a model's answers and those of others, batch by batch.

    Args:
        split: Labelled examples; see `batches_of`.
        model: The `Runner` of a Keras classifier.
        others: `Runner`s of the files, or of what they should answer.
        names: What the others call the model's inputs, in their order; None
            if there is one.
        batch_size: Examples per batch.
        progress: Whether to show a progress bar.

    Yields:
        `(labels, the model's outputs, [list of outputs of each other])`.

    Warns where the model is no better than chance.

    Raises:
        ValueError: If the model has several outputs or a single number,
            labels are not one class number per example (or per position, where
            it names a class at each), or the model puts out NaN or infinity.
    """
    _check_one_output(model)
    _check_classes(model)
    chance = ChanceCheck()
    for batch in batches_of(
        split,
        model,
        "images to verify with",
        batch_size=batch_size,
        finite=True,
        progress=progress,
    ):
        labels = _checked_labels(batch.labels, model.output_ports[0].shape)
        inputs = [np.asarray(x) for x in tf.nest.flatten(batch.inputs)]
        (expected,) = model.outputs(inputs)
        _check_finite(expected, model)
        if names is not None:
            inputs = dict(zip(names, inputs, strict=True))
        chance.add(labels, int((expected.argmax(-1) == labels).sum()))
        yield labels, expected, [one.outputs(inputs) for one in others]
    chance.warn(model.name)


def _check_one_output(model):
    if len(model.output_ports) != 1:
        names = [port.name for port in model.output_ports]
        raise ValueError(
            "Expected a classifier of one output [batch, classes]. Received: "
            f"{model.name!r} with the outputs {names}. Export a model of the "
            "one that the labels belong to: keras.Model(model.inputs, "
            f"model.outputs[0]). {_OTHER_MODELS}"
        )


def _check_classes(model):
    if model.output_ports[0].shape[-1] == 1:
        raise ValueError(
            "Expected a classifier with an output for each class: a file is "
            "verified by the class that it names. Received: "
            f"{model.name!r} with one number for each example. Of two classes "
            f"give it Dense(2). {_OTHER_MODELS}"
        )


def _checked_labels(labels, shape):
    if labels is None:
        raise ValueError(
            "Expected batches of (inputs, labels), since accuracy needs "
            "labels. Received: inputs only."
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            "Expected integer labels, class numbers. Received: "
            f"{labels.dtype} labels of shape {list(labels.shape)}. One-hot "
            f"labels become integers by tf.argmax(labels, -1). {_OTHER_MODELS}"
        )
    return checked_labels(labels, shape)


def _check_finite(outputs, model):
    if not np.isfinite(outputs).all():
        raise ValueError(
            f"Expected finite outputs of the Keras model {model.name!r}, "
            "beside which the file is checked. It puts out NaN or infinity "
            "itself."
        )
