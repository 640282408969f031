"""Mixed-precision models as float32 models."""

from kure_tf.compat.clone import clone_model, copy_layer
from kure_tf.compat.graph import layers_of


def in_float32(model):
    """Returns `model`, or a float32 copy of it if it computes in less.

    Weights of a mixed-precision model are float32 already; only the dtype in
    which its layers compute changes.

    Raises:
        TypeError: If a layer insists on its own dtype.
    """
    if not _not_float32(model):
        return model

    def make_layer(path, layer):
        copy = copy_layer(layer, _with_float32(layer.get_config()))
        return copy, copy

    copy = clone_model(model, make_layer)
    if stubborn := _not_float32(copy):
        raise TypeError(
            "Expected a model that can compute in float32, which TFLite files "
            f"need. These layers compute in another dtype even when they are "
            f"made with dtype='float32': {stubborn}. Build the model under "
            "the policy 'float32' and load the weights into it."
        )
    return copy


def _not_float32(model):
    return {
        path: layer.compute_dtype
        for path, layer in layers_of(model)
        if getattr(layer, "compute_dtype", "float32")
        in ("float16", "bfloat16", "float64")
    }


def _with_float32(config):
    """Returns a configuration with float32 for every layer in it."""
    changed = {}
    for key, value in config.items():
        if key == "dtype" and value not in ("int32", "int64", "string"):
            value = "float32"
        elif isinstance(value, dict) and "config" in value:  # A wrapped layer.
            value = {**value, "config": _with_float32(value["config"])}
        changed[key] = value
    return changed
