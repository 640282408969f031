"""tfmot's wrapper, extended by what kure_tf's engine needs."""

import tf_keras
from tensorflow_model_optimization.python.core.quantization.keras import (
    quantize_wrapper,
)

from kure_tf import compat
from kure_tf.fake_quantized.host import Observed

_Layer = tf_keras.layers.Layer


@tf_keras.utils.register_keras_serializable("kure_tf")
class HostWrapper(Observed, quantize_wrapper.QuantizeWrapperV2):
    """tfmot's `QuantizeWrapperV2` for layers with a `HostedQuantizeConfig`.

    What it adds: the layer's input is quantized, not its output; it takes the
    name, precision and `trainable` flag of the layer (tfmot trains frozen
    layers, and casts to the global precision); masks and activity regularizers
    reach their places; the layer keeps its kernel, where tfmot leaves a tensor
    of the last call.
    """

    def __init__(self, layer, quantize_config, **kwargs):
        kwargs.setdefault("name", layer.name)
        kwargs.setdefault("dtype", layer._dtype_policy)
        super().__init__(layer, quantize_config, **kwargs)
        self.supports_masking = layer.supports_masking
        self._inputs = []

    def build(self, input_shape):
        super().build(input_shape)
        self._inputs = [
            (host, host.build(input_shape, "input", self))
            for host in self.quantize_config.get_input_quantizers(self.layer)
        ]

    def call(self, inputs, training=None, mask=None, **kwargs):
        self.observe(self, "input", inputs)
        if mask is not None and self.layer._expects_mask_arg:
            kwargs["mask"] = mask
        for host, state in self._inputs:
            inputs = host(inputs, training, state)
        # Without tfmot's condition on `training`: our quantizers do the same in
        # both cases, and TensorFlow cannot differentiate custom gradients
        # inside a conditional in a conditional.
        kernels = [
            (self.layer, host.tensor, host(kernel, training, state))
            for kernel, host, state in self._weight_vars
        ]
        with compat.computing_with(self.layer, kernels, self.add_loss):
            return self.layer(inputs, **kwargs)

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    # What every Keras layer does: frozen layers have no trainable weights, and
    # the losses of a call are listed.
    trainable_weights = _Layer.trainable_weights
    non_trainable_weights = _Layer.non_trainable_weights
    losses = _Layer.losses
    updates = _Layer.updates
