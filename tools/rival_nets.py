"""ResNet-20 as other libraries quantize it, for tools/benchmark.py."""

import importlib


def hgq2_resnet20():
    """Returns ResNet-20 with the convolutions of HGQ2 in all but the first.

    Its quantizers are those of its defaults, whose bits are trained; the cost
    of the circuit (EBOPs) is not computed.
    """
    from kure_tf import models
    from kure_tf.compat import keras

    # No dependency, not even an optional one: nothing but this needs it.
    config_of = importlib.import_module("hgq.config")
    layers_of = importlib.import_module("hgq.layers")

    def quantized(layer):
        config = layer.get_config()
        if not isinstance(layer, keras.layers.Conv2D) or layer.name == "conv1":
            return type(layer).from_config(config)
        taken = ("filters", "kernel_size", "strides", "padding", "use_bias")
        return layers_of.QConv2D(
            **{name: config[name] for name in taken}, name=layer.name
        )

    saturating = config_of.QuantizerConfigScope(
        place="all", default_q_type="kbi", overflow_mode="SAT_SYM"
    )
    with saturating, config_of.LayerConfigScope(enable_ebops=False):
        return keras.models.clone_model(
            models.resnet20(), clone_function=quantized
        )
