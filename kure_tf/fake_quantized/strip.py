"""Taking the quantizers off a model again."""

from kure_tf import compat
from kure_tf.fake_quantized.host import hosted_tensors


def strip_quantizers(model):
    """Returns a copy of `model` without quantizers: the float layers inside.

    The weights are those behind the quantizers, in float, as training left
    them; step sizes are dropped. Everything else is kept, compilation too.
    `model` is not changed.

    Args:
        model: What `fake_quantize_model` or `quantize_aware` returned. A plain
            model gives a plain copy.

    Raises:
        TypeError, ValueError: If `model` is unbuilt, subclassed or of the
            other Keras.
    """
    compat.check_graph_model(model)

    def make_layer(path, layer):
        if hosted_tensors(layer) is None:
            copy = compat.copy_layer(layer)
            return copy, copy
        copy = compat.copy_layer(layer.layer)
        return copy, Inside(copy)

    return compat.clone_model(model, make_layer)


class Inside:
    """Gives a copy the weights of the layer inside a wrapper, alone."""

    def __init__(self, copy):
        self._copy = copy

    def take_weights(self, wrapper):
        compat.copy_weights(wrapper.layer, self._copy)
