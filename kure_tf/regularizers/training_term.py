"""A model that is trained with one term more than it was compiled with."""

from kure_tf import compat
from kure_tf.compat import keras


class TrainingTermModel(keras.Model):
    """Trains the layers of another model with a term that needs the data.

    Such a term is no Keras regularizer. It is part of the training step (`fit`,
    `train_on_batch`), and of the `loss` that is logged there; `evaluate` and
    `predict` are those of the original. Both models share their layers:
    training one trains the other.

    A subclass gives the term: see `training_term`.

    Args:
        model: A built functional or sequential model with one input and one
            output. Its compilation is taken over, with a new optimizer.
    """

    def __init__(self, model):
        super().__init__(
            inputs=model.inputs[0], outputs=model.outputs[0], name=model.name
        )
        # Past the tracking of Keras, which would take them for state.
        self.__dict__.update(_in_training_step=False, _terms=())
        compat.copy_compilation(model, self)

    def training_term(self, x, y, y_pred, sample_weight):
        """Returns the term for a batch, a float32 scalar: a mean over it.

        The part that a subclass writes.

        Args:
            x: The batch's inputs.
            y: Its labels.
            y_pred: The model's outputs.
            sample_weight: Weights of the examples, or None.
        """
        raise TypeError(
            f"{type(self).__name__} does not say its term. Override "
            "`training_term(x, y, y_pred, sample_weight)`."
        )

    def train_step(self, data):
        self.__dict__["_in_training_step"] = True
        try:
            return super().train_step(data)
        finally:
            self.__dict__.update(_in_training_step=False, _terms=())

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, **kwargs
    ):
        if self._in_training_step:
            term = self.training_term(x, y, y_pred, sample_weight)
            self.__dict__["_terms"] = (term,)
        return super().compute_loss(x, y, y_pred, sample_weight, **kwargs)

    @property
    def losses(self):
        return [*super().losses, *self.__dict__.get("_terms", ())]

    def without_term(self):
        """Returns a functional model of the same layers, without the term."""
        return keras.Model(self.inputs[0], self.outputs[0], name=self.name)
