"""How much of a model is quantized, and what stays in float."""

import dataclasses
import math
import sys
import warnings

from kure_tf import compat
from kure_tf.fake_quantized.host import hosted_tensors
from kure_tf.fake_quantized.tensors import some_quantizers_of

# Below it, what a report says of a bit-width is said of too little.
_ENOUGH = 0.9
_LISTED = 8  # Layers that a warning names.
_STATE = "what its recurrent kernel is multiplied by has no quantizer there"
_PLACED = "the placement leaves it in float"
_ACTIVATIONS = "it multiplies activations, which have no quantizer there"


@dataclasses.dataclass(frozen=True)
class Rest:
    """What one layer leaves in float.

    Attributes:
        parameters: How many elements its kernels have there.
        multiply_adds: How many multiply-adds it makes there for one example.
        why: The reason, as part of a sentence.
    """

    parameters: int
    multiply_adds: int
    why: str

    def __str__(self):
        return (
            f"{self.parameters:,} parameters, {self.multiply_adds:,} "
            f"multiply-adds: {self.why}"
        )


@dataclasses.dataclass(frozen=True)
class QuantizedShare:
    """How much of a fake-quantized model has quantizers.

    Attributes:
        parameters: Of its kernels' elements, in [0, 1]. All weights of a
            layer of which kure_tf knows no kernels count as one; biases,
            normalization and the slopes of PReLU do not.
        multiply_adds: Of the multiply-adds for one example
            (`compat.multiply_adds_of`), in [0, 1].
        rest: `{layer path: Rest}` of what stays in float.
    """

    parameters: float
    multiply_adds: float
    rest: dict

    def facts(self) -> dict:
        """Returns what reports say of it, as plain values."""
        return {
            "quantized_parameters": f"{100 * self.parameters:.1f} %",
            "quantized_multiply_adds": f"{100 * self.multiply_adds:.1f} %",
            "left_in_float": {
                path: str(one) for path, one in self.rest.items()
            },
        }

    def __str__(self):
        return (
            f"{100 * self.parameters:.1f} % of the parameters and "
            f"{100 * self.multiply_adds:.1f} % of the multiply-adds"
        )


def quantized_share(model) -> QuantizedShare:
    """Returns how much of a fake-quantized model is quantized, and the rest.

        share = quantized / (quantized + rest)

    A multiply-add counts as quantized where its kernel has a quantizer, or,
    of two activations, where these have. A recurrent kernel multiplies the
    state: where the inputs of the layer have quantizers, that needs one, too.

    Args:
        model: What `fake_quantize_model` or `quantize_aware` returned.

    Raises:
        ValueError: If the model has no quantizers.
    """
    some_quantizers_of(model)  # Raises where there are none.
    made = compat.multiply_adds_of(model)
    layers = dict(compat.layers_of(model))
    known = set(map(id, layers.values()))
    # Operations of Keras 3 are no layers.
    layers |= {one.name: one for one in made if id(one) not in known}
    sizes = {path: _sizes(layer) for path, layer in layers.items()}
    counts = {path: made.get(layer, {}) for path, layer in layers.items()}
    rest = {
        path: _rest(layer, sizes[path], counts[path])
        for path, layer in layers.items()
    }
    rest = {p: r for p, r in rest.items() if r.parameters or r.multiply_adds}
    return QuantizedShare(
        _share(sizes, [one.parameters for one in rest.values()]),
        _share(counts, [one.multiply_adds for one in rest.values()]),
        rest,
    )


def say_share(model, *, verbose):
    """Warns, naming the layers, if less than 90 % of a model is quantized.

    Args:
        model: As for `quantized_share`.
        verbose: Whether to print both shares to the standard error stream.
    """
    share = quantized_share(model)
    if verbose:
        print(f"Of {model.name!r} {share} are quantized.", file=sys.stderr)
    if min(share.parameters, share.multiply_adds) >= _ENOUGH:
        return
    largest = sorted(
        share.rest.items(),
        key=lambda item: -max(item[1].parameters, item[1].multiply_adds),
    )
    listed = "; ".join(f"{path} ({one})" for path, one in largest[:_LISTED])
    more = len(largest) - _LISTED
    warnings.warn(
        f"Of {model.name!r} {share} are quantized. In float: {listed}"
        f"{f'; and {more} more' if more > 0 else ''}. A Placement says what "
        "is quantized; a layer of your own names its kernels in a method "
        "`kure_tf_kernels`.",
        stacklevel=3,
    )


def _share(totals, left):
    total = sum(sum(one.values()) for one in totals.values())
    return 1.0 - sum(left) / total if total else 1.0


def _sizes(layer):
    """Returns `{kernel: elements}`; all weights where none is known."""
    layer = _without_host(layer)
    kernels = compat.kernels_of(layer)
    if kernels:
        return {k.name: math.prod(k.variable_in(layer).shape) for k in kernels}
    if compat.is_elementwise(layer):
        return {}
    weights = getattr(layer, "weights", ())
    return {
        compat.WITHOUT_KERNEL: sum(math.prod(w.shape) for w in weights),
    }


def _without_host(layer):
    return layer if hosted_tensors(layer) is None else layer.layer


def _rest(layer, sizes, counts):
    hosted = hosted_tensors(layer) or {}
    has_activations = any(t.variable is None for t in hosted.values())

    def is_quantized(name):
        if name == compat.WITHOUT_KERNEL:
            return has_activations
        state = name.replace("recurrent_kernel", "state")
        in_float = has_activations and state not in {name, *hosted}
        return name in hosted and not in_float

    return Rest(
        sum(size for name, size in sizes.items() if name not in hosted),
        sum(n for name, n in counts.items() if not is_quantized(name)),
        _why(layer, any(n in hosted and not is_quantized(n) for n in counts)),
    )


def _why(layer, state_in_float):
    if hosted_tensors(layer) is not None:
        return _STATE if state_in_float else _PLACED
    if compat.kernels_of(layer):
        return _PLACED
    if getattr(layer, "weights", ()):
        return compat.why_no_kernels(layer)
    return _ACTIVATIONS
