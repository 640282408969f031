"""The scope within which quantized models are saved and loaded."""

from kure_tf.qat.tfmot.configs import (
    DoReFaQuantizeConfig,
    HostedQuantizeConfig,
    LSQQuantizeConfig,
)
from kure_tf.qat.tfmot.imported import tfmot
from kure_tf.qat.tfmot.wrapper import HostWrapper
from kure_tf.qat.to_tf_keras import register_regularizers
from kure_tf.regularizers import KurtosisRegularizer, SumRegularizer


def quantize_scope(*custom_objects):
    """Returns a scope in which models quantized through tfmot can be loaded.

    tfmot's own `quantize_scope`, with kure_tf's classes in it.

    Args:
        *custom_objects: Dictionaries `{name: class}` of the user's own.

    Example:
        >>> model.save("model.keras")
        >>> with quantize_scope():
        ...     model = tf_keras.models.load_model("model.keras")
    """
    register_regularizers()
    ours = (
        DoReFaQuantizeConfig,
        HostWrapper,
        HostedQuantizeConfig,
        KurtosisRegularizer,
        LSQQuantizeConfig,
        SumRegularizer,
    )
    # `.h5` files have the bare names of classes.
    names = {kind.__name__: kind for kind in ours}
    return tfmot.quantization.keras.quantize_scope(names, *custom_objects)
