"""What a model and files answer to the same labelled examples."""

import numpy as np
import tensorflow as tf

from kure_tf.data.batches import batches_of
from kure_tf.evaluation.chance import ChanceCheck
from kure_tf.export.judge import judge_of


def answers_of(split, model, others, *, names=None, batch_size, progress=True):
    """Yields labels, a model's answers and those of others, batch by batch.

    Args:
        split: Labelled examples; see `batches_of`.
        model: The `Runner` of a Keras model.
        others: `Runner`s of the files, or of what they should answer.
        names: What the others call the model's inputs, in their order; None
            if there is one.
        batch_size: Examples per batch.
        progress: Whether to show a progress bar.

    Yields:
        `(the judge, labels, the model's outputs, [list of outputs of each
        other])`, the `Judge` of all batches being that of the first one.

    Warns where a classifier is no better than chance.

    Raises:
        ValueError: If the model has several outputs, labels are not what it or
            its loss takes, or it puts out NaN or infinity.
    """
    _check_one_output(model)
    chance, judge = ChanceCheck(), None
    for batch in batches_of(
        split,
        model,
        "images to verify with",
        batch_size=batch_size,
        finite=True,
        progress=progress,
    ):
        if batch.labels is None:
            raise ValueError(
                "Expected batches of (inputs, labels), since accuracy needs "
                "labels. Received: inputs only."
            )
        judge = judge or judge_of(model.model, batch.labels)
        inputs = [np.asarray(x) for x in tf.nest.flatten(batch.inputs)]
        (expected,) = model.outputs(inputs)
        _check_finite(expected, model)
        if names is not None:
            inputs = dict(zip(names, inputs, strict=True))
        labels = batch.labels
        if judge.accuracy is not None:
            labels = chance.add_answers(judge.accuracy, labels, expected)
        yield judge, labels, expected, [one.outputs(inputs) for one in others]
    chance.warn(model.name)


def _check_one_output(model):
    if len(model.output_ports) != 1:
        names = [port.name for port in model.output_ports]
        raise ValueError(
            "Expected a model of one output. Received: "
            f"{model.name!r} with the outputs {names}. Export a model of the "
            "one that the labels belong to: keras.Model(model.inputs, "
            "model.outputs[0]). Or write the file of all by "
            "write(to_integer_graph(...)), and compare litert_runner(content) "
            "with integer_runner(graph)."
        )


def _check_finite(outputs, model):
    if not np.isfinite(outputs).all():
        raise ValueError(
            f"Expected finite outputs of the Keras model {model.name!r}, "
            "beside which the file is checked. It puts out NaN or infinity "
            "itself."
        )
