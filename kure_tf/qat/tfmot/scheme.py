"""How tfmot's `quantize_apply` treats a model: as it is annotated, no more."""

import tensorflow as tf
import tf_keras
from tensorflow_model_optimization.python.core.quantization.keras import (
    quantize_layout_transform,
    quantize_registry,
    quantize_scheme,
)

from kure_tf import compat
from kure_tf.qat.tfmot.configs import HostedQuantizeConfig
from kure_tf.qat.tfmot.flatten import new_input
from kure_tf.qat.tfmot.wrapper import HostWrapper


class KureQuantizeScheme(quantize_scheme.QuantizeScheme):
    """Quantizes what is annotated, and nothing beside it.

    tfmot's default scheme adds 8-bit quantizers to the input and to layers that
    were not annotated, and discards a layer's own configuration where a ReLU
    follows. This one leaves the graph as it is, and puts the activation
    quantizers of `LSQQuantizeConfig`, `DoReFaQuantizeConfig` and
    `HostedQuantizeConfig` on the inputs of their layers.

    Example:
        >>> quantize_apply(annotated, scheme=KureQuantizeScheme())
    """

    def get_layout_transformer(self):
        return _SameLayout()

    def get_quantize_registry(self):
        return _EmptyRegistry()


class _EmptyRegistry(quantize_registry.QuantizeRegistry):
    """Knows no layer: each one that is annotated brings its configuration."""

    def supports(self, layer):
        return False

    def get_quantize_config(self, layer):
        return None


class _SameLayout(quantize_layout_transform.QuantizeLayoutTransform):
    """Keeps the graph; hosts the layers that have a configuration of ours."""

    def apply(self, model, layer_quantize_map):
        """Returns `(model, layer_quantize_map)` with those layers wrapped."""
        configs = {
            name: entry.get("quantize_config")
            for name, entry in layer_quantize_map.items()
        }
        ours = {
            name: config.on_inputs()
            for name, config in configs.items()
            if isinstance(config, HostedQuantizeConfig)
        }
        wrappers = {}

        def call(layer, args, kwargs):
            if layer.name in ours:
                if layer.name not in wrappers:
                    wrappers[layer.name] = HostWrapper(layer, ours[layer.name])
                layer = wrappers[layer.name]
            return layer(*args, **kwargs)

        before = compat.functional_inputs(model)
        inputs = tf.nest.map_structure(new_input, before)
        outputs = compat.replay(model, inputs, call)
        others = {
            name: entry
            for name, entry in layer_quantize_map.items()
            if name not in ours
        }
        return tf_keras.Model(inputs, outputs, name=model.name), others
