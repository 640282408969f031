"""tfmot's mark of a layer to quantize, for layers behind a mask."""

import tf_keras
from tensorflow_model_optimization.python.core.quantization.keras import (
    quantize_annotate,
)


@tf_keras.utils.register_keras_serializable("kure_tf")
class Annotation(quantize_annotate.QuantizeAnnotate):
    """tfmot's `QuantizeAnnotate` that hands masks to those who take them.

    tfmot's own one hands a mask to every layer behind one, `Dense` among them,
    whose `call` has no such argument, and to nobody behind that.
    """

    def __init__(self, layer, **kwargs):
        super().__init__(layer, **kwargs)
        self.supports_masking = layer.supports_masking

    def call(self, inputs, mask=None, **kwargs):
        if mask is not None and self.layer._expects_mask_arg:
            kwargs["mask"] = mask
        return super().call(inputs, **kwargs)
