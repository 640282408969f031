"""Putting the layers inside SpectralNormalization in its place."""

from kure_tf import compat
from kure_tf.fake_quantized.host import hosted_tensors
from kure_tf.fake_quantized.same_outputs import check_same_outputs
from kure_tf.fake_quantized.strip import Inside

_WAY_OUT = "Build the model without the wrapper and set its weights."


def unwrap_spectral_normalization(model):
    """Returns a copy of `model` without SpectralNormalization.

    The layer inside takes its place, under its name, with the kernel as
    training left it. That is what the wrapper computes in inference; training
    the copy no longer normalizes. Batch normalization behind such a layer can
    then be folded, and every PTQ method takes it. Inside another wrapper it
    stays. `model` is not changed.

    Args:
        model: A built functional or sequential model; nested ones are opened.

    Raises:
        TypeError: If `model` is subclassed or of the other Keras.
        ValueError: If `model` is unbuilt or has quantizers, or the copy
            computes something else on a random batch.
    """
    compat.check_graph_model(model)

    def make_layer(path, layer):
        if hosted_tensors(layer) is not None:
            raise ValueError(
                f"Expected a model without quantizers. {path!r} has some: "
                "unwrap the float model, or take strip_quantizers(model)."
            )
        if not compat.is_normalized(layer):
            copy = compat.copy_layer(layer)
            return copy, copy
        copy = compat.copy_layer(layer.layer, {"name": layer.name})
        return copy, Inside(copy)

    copy = compat.clone_model(model, make_layer)
    check_same_outputs(model, copy, way_out=_WAY_OUT)
    return copy
