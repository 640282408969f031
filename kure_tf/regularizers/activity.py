"""KURE on activations."""

from kure_tf.compat import keras, register_serializable
from kure_tf.regularizers.kurtosis import KurtosisRegularizer


@register_serializable("kure_tf")
class KurtosisActivityRegularization(keras.layers.Layer):
    """Passes its input on and adds a kurtosis term for it to the loss.

        coefficient * (Kurt[X] - K_T)^2, X all values of the batch

    One call adds the term once, whatever the batch size. (Keras divides an
    `activity_regularizer` by the batch size, so that KURE given there would
    depend on it.)

    Args:
        target: K_T, see `KurtosisRegularizer`.
        coefficient: Factor of the term.
        **kwargs: As for every Keras layer: `name`, `dtype`.
    """

    def __init__(self, target=1.8, coefficient=1.0, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self._regularizer = KurtosisRegularizer(target, coefficient)

    def call(self, inputs):
        self.add_loss(self._regularizer(inputs))
        return inputs

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "target": self._regularizer.target,
            "coefficient": self._regularizer.coefficient,
        }
