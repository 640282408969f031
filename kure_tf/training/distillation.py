"""Training on the answers of another model beside the labels."""

import tensorflow as tf

from kure_tf import compat
from kure_tf.compat import keras, register_serializable
from kure_tf.ops.checks import check_real
from kure_tf.regularizers.training_term import TrainingTermModel


@register_serializable("kure_tf")
class DistillationModel(TrainingTermModel):
    """Trains the layers of a classifier towards the answers of a teacher.

        loss + coefficient * T^2 * mean_i CE(softmax(t_i / T), softmax(z_i / T))

    after Hinton et al. 2015, "Distilling the knowledge in a neural network".
    t_i and z_i are the logits of teacher and student for example i, T is the
    temperature; T^2 keeps the size of the gradient. The mean is weighted where
    examples are, and runs over all positions where the outputs have several.

    For quantization the teacher is the float model that training starts from,
    or a copy of it at the highest bit-width: what it knows of each image is
    what the lowest widths lose. It sees the same (augmented) batches, in
    inference mode, and is not trained. A step takes as much longer as a forward
    pass of the teacher does.

    The term is part of the training step alone: see `TrainingTermModel`. Save,
    quantize or sweep the student. Saved itself, this model is loaded as the
    student, without the teacher.

    Args:
        model: The student: a built functional or sequential model with one
            input and one output of logits `[batch, ..., classes]`. Its
            compilation is taken over, with a new optimizer.
        teacher: A built Keras model that takes the same inputs and returns as
            many logits. A fake-quantized one answers at the operating point
            that it is set to.
        coefficient: Factor of the term, not negative.
        temperature: T, above 0.

    Raises:
        TypeError, ValueError: If a model is unbuilt, subclassed, of the other
            Keras, has several inputs or outputs or ends in a softmax; if the
            teacher's inputs or outputs have another shape, or it is the
            student; if coefficient or temperature is not as said above.

    Example:
        >>> student = kure_tf.quantize_aware(model, "lsq", 2, 4)
        >>> trained = DistillationModel(student, model, 1.0)
        >>> trained.compile("sgd", loss)
        >>> trained.fit(x, y)
        >>> student.save("trained.keras")
    """

    def __init__(self, model, teacher, coefficient, *, temperature=1.0):
        for checked, what in ((model, "a student"), (teacher, "a teacher")):
            compat.check_graph_model(checked)
            compat.check_one_input_and_output(checked)
            compat.check_returns_logits(checked, what)
        _check_fits(model, teacher)
        super().__init__(model)
        self.coefficient = check_real(
            "coefficient", coefficient, "of 0 or more", lambda c: c >= 0
        )
        self.temperature = check_real(
            "temperature", temperature, "above 0", lambda t: t > 0
        )
        # Past the tracking of Keras, which would train and save its weights.
        self.__dict__["_teacher"] = teacher

    def training_term(self, x, y, y_pred, sample_weight):
        answers = self._teacher(x, training=False)
        term = _mean_cross_entropy(
            tf.stop_gradient(tf.cast(answers, tf.float32)) / self.temperature,
            tf.cast(y_pred, tf.float32) / self.temperature,
            sample_weight,
        )
        return self.coefficient * self.temperature**2 * term

    def get_config(self):
        return {
            "model": keras.saving.serialize_keras_object(self.without_term())
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return keras.saving.deserialize_keras_object(
            config["model"], custom_objects=custom_objects
        )


def _mean_cross_entropy(teacher, student, weight):
    """Returns the mean of Keras' cross-entropy loss: sum over count."""
    each = tf.nn.softmax_cross_entropy_with_logits(
        tf.nn.softmax(teacher), student
    )
    if weight is not None:
        weight = tf.cast(weight, each.dtype)
        missing = each.shape.rank - weight.shape.rank
        if missing < 0:  # [batch, 1], which Keras takes as well.
            weight = tf.squeeze(weight, -1)
        for _ in range(missing):
            weight = weight[..., tf.newaxis]
        each *= weight
    return tf.reduce_mean(each)


def _check_fits(model, teacher):
    if teacher is model:
        raise ValueError(
            "Expected a teacher that is not the student. Received the same "
            "model. Give a copy: keras.models.clone_model and set_weights, or "
            "the float model that a quantized one was made of."
        )
    for what in ("inputs", "outputs"):
        own, given = (
            tuple(getattr(each, what)[0].shape)[1:] for each in (model, teacher)
        )
        if len(own) != len(given) or any(
            None not in (a, b) and a != b
            for a, b in zip(own, given, strict=True)
        ):
            raise ValueError(
                f"Expected a teacher with {what} of the student's shape "
                f"{list(own)}. Received one with {list(given)}. Give one that "
                "was trained for the same data."
            )
