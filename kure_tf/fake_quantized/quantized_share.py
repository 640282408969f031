"""How much of a model can be quantized, and what stays in float unasked."""

import math
import warnings

from kure_tf import compat
from kure_tf.fake_quantized.tensors import quantizers_of

# Below it, what a report says of a bit-width is said of too little.
_ENOUGH = 0.9


def quantized_share(model) -> float:
    """Returns which share of a model's parameters kure_tf quantizes, in [0, 1].

        share = kernels / (kernels + overlooked)

    `kernels` counts the elements of kernels that kure_tf knows, those pinned
    to float among them; `overlooked` the parameters of layers of which it
    knows none (a user's own, wrappers). Biases, normalization and the slopes
    of PReLU count as neither.

    Args:
        model: A built model, before or after `fake_quantize_model`.
    """
    kernels, overlooked = 0, sum(overlooked_layers(model).values())
    for _, layer in _layers_without_hosts(model):
        for kernel in compat.kernels_of(layer):
            kernels += math.prod(kernel.variable_in(layer).shape)
    return kernels / max(kernels + overlooked, 1)


def overlooked_layers(model) -> dict[str, int]:
    """Returns `{layer path: parameters}` of what stays in float unasked."""
    return {
        path: sum(math.prod(variable.shape) for variable in layer.weights)
        for path, layer in _layers_without_hosts(model)
        if layer.weights
        and not compat.kernels_of(layer)
        and not type(layer).__name__.endswith(("Normalization", "PReLU"))
    }


def warn_of_little(model):
    """Warns, naming the layers, if less than 90 % of a model is quantized."""
    share = quantized_share(model)
    if share >= _ENOUGH:
        return
    layers = dict(compat.layers_of(model))
    listed = ", ".join(
        f"{path} ({type(layers[path]).__name__}, {count:,})"
        for path, count in overlooked_layers(model).items()
    )
    warnings.warn(
        f"Of {model.name!r} only {100 * share:.0f} % of the parameters are "
        "quantized. kure_tf knows no kernels of these layers, with their "
        f"parameters: {listed}. A layer of your own names its kernels in a "
        "method `kure_tf_kernels`.",
        stacklevel=3,
    )


def _layers_without_hosts(model):
    hosts = {path.rpartition("/")[0] for path in quantizers_of(model)}
    for path, layer in compat.layers_of(model):
        yield path, layer.layer if path in hosts else layer
