"""Top-1 accuracy of a classifier over a split, compiled once."""

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from kure_tf.ops.cross_entropy import checked_labels, cross_entropy


class Evaluator:
    """Evaluates one model on one split, as often as wanted.

        accuracy = share of images whose largest output is the label's
        loss     = mean cross-entropy of the softmax of the outputs

    The function is traced once, whatever operating points the model goes
    through: `evaluator.step.experimental_get_tracing_count()` says so.

    Args:
        split: A `Split`, or an iterable of (images, labels) batches.
        from_logits: Whether the model's outputs are logits (those of this
            package are); False for probabilities.
        batch_size: Images per step, for a `Split`.
        progress: Whether to show a progress bar.

    After a call, `right` is a boolean array `[images]`: which of them the
    model got right, in the order of the split.

    Raises:
        ValueError: If there are no images, or a label is outside the classes.
    """

    def __init__(
        self, split, *, from_logits=True, batch_size=256, progress=False
    ):
        self._batches = (
            split.batches(batch_size) if hasattr(split, "batches") else split
        )
        self._from_logits = from_logits
        self._progress = progress
        self._model = None
        self.step = None
        self.right = None

    def __call__(self, model) -> dict:
        """Returns {"accuracy", "loss", "images"} of `model`."""
        if model is not self._model:
            self._model, self.step = model, self._compile(model)
        answers = []
        loss = 0.0
        classes = model.outputs[0].shape[-1]
        for batch in tqdm(
            self._batches, "evaluating", disable=not self._progress, leave=False
        ):
            pictures, labels = batch
            labels = checked_labels(labels, classes)
            right, lost = self.step(tf.cast(pictures, tf.float32), labels)
            answers.append(right.numpy())
            loss += float(lost)
        if not sum(map(len, answers)):
            raise ValueError("Expected images to evaluate. Received none.")
        self.right = np.concatenate(answers)
        images = len(self.right)
        return {
            "accuracy": int(np.count_nonzero(self.right)) / images,
            "loss": loss / images,
            "images": images,
        }

    def _compile(self, model):
        def step(pictures, labels):
            outputs = tf.cast(model(pictures, training=False), tf.float32)
            right = tf.equal(tf.argmax(outputs, -1, labels.dtype), labels)
            lost = cross_entropy(outputs, labels, from_logits=self._from_logits)
            return right, tf.reduce_sum(lost)

        shape = (None, *model.inputs[0].shape[1:])
        return tf.function(
            step,
            input_signature=[
                tf.TensorSpec(shape, tf.float32),
                tf.TensorSpec((None,), tf.int64),
            ],
            autograph=False,
        )
