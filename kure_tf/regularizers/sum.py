"""The sum of several regularizers, for a layer's one slot."""

from kure_tf.compat import keras, register_serializable


@register_serializable("kure_tf")
class SumRegularizer(keras.regularizers.Regularizer):
    """Adds up regularizers: a Keras layer has one slot and refuses a list.

    Args:
        *regularizers: Keras regularizers, their names ("l2") or their serial
            form. Nested sums are flattened, None is left out.

    Raises:
        ValueError: If none is given, or one is no regularizer.

    Example:
        >>> SumRegularizer(keras.regularizers.L2(5e-5), KurtosisRegularizer())
    """

    def __init__(self, *regularizers):
        self.regularizers = []
        for identifier in regularizers:
            regularizer = keras.regularizers.get(identifier)
            if isinstance(regularizer, str):  # tf_keras knows no such name.
                raise ValueError(
                    "Expected a Keras regularizer, such as 'l2'. Received: "
                    f"{identifier!r}."
                )
            if isinstance(regularizer, SumRegularizer):
                self.regularizers.extend(regularizer.regularizers)
            elif regularizer is not None:
                self.regularizers.append(regularizer)
        if not self.regularizers:
            raise ValueError(
                "Expected at least one regularizer. Received: "
                f"{regularizers!r}. Use kernel_regularizer=None for none."
            )

    def __call__(self, x):
        total = self.regularizers[0](x)
        for regularizer in self.regularizers[1:]:
            total = total + regularizer(x)
        return total

    def get_config(self):
        return {
            "regularizers": [
                keras.regularizers.serialize(regularizer)
                for regularizer in self.regularizers
            ]
        }

    @classmethod
    def from_config(cls, config):
        return cls(*map(keras.regularizers.deserialize, config["regularizers"]))
