"""What TFLite's converter makes of Keras layers."""

from kure_tf.integer_graph.graph import Quantization

KEEPS = frozenset(
    "Cropping1D Cropping2D Flatten GlobalMaxPooling1D GlobalMaxPooling2D "
    "MaxPooling1D MaxPooling2D Permute RepeatVector Reshape UpSampling1D "
    "UpSampling2D ZeroPadding1D ZeroPadding2D".split()
)
"""Layers that pass codes on: their output has the grid of their input."""

AVERAGES = frozenset(("AveragePooling1D", "AveragePooling2D"))
"""Layers that average codes and round to the grid of their input."""

DROPS = frozenset(
    "ActivityRegularization AlphaDropout Dropout FoldedAway GaussianDropout "
    "GaussianNoise Identity SpatialDropout1D SpatialDropout2D".split()
)
"""Layers that do nothing in inference."""

FUSES = frozenset(("FakeQuantKernel", "Add", "Subtract", "Multiply"))
"""Layers whose operator takes a ReLU along, with nothing rounded between."""

_MAKES = FUSES | frozenset(
    "Dot GlobalAveragePooling1D GlobalAveragePooling2D LeakyReLU Maximum PReLU "
    "Softmax".split()
)
_ACTIVATIONS = frozenset(
    "exponential gelu hard_silu leaky_relu sigmoid silu softmax swish "
    "tanh".split()
)
_RELUS = ("relu", "relu6")
_FIXED = {
    "sigmoid": Quantization(1 / 256, -128),
    "softmax": Quantization(1 / 256, -128),
    "tanh": Quantization(1 / 128, 0),
}
# Operators of tf_keras models, such as `x + y`.
_OPERATORS = {
    "__operators__.add": "Add",
    "math.add": "Add",
    "math.multiply": "Multiply",
    "math.subtract": "Subtract",
}


def kind_of(layer) -> str | None:
    """Returns what the converter makes of a layer with integer inputs.

    Returns:
        "drops": nothing; "keeps": an operator on the same grid; "averages":
        one that rounds to it; "joins": a concatenation; "relu"; "makes": an
        operator whose output has a grid of its own; None: operators in float.
    """
    name = name_of(layer)
    if not _is_keras_own(layer):
        return None
    if name in DROPS or activation_of(layer) == "linear":
        return "drops"
    if name in KEEPS or _is_subsampling(layer, name):
        bilinear = getattr(layer, "interpolation", "nearest") != "nearest"
        return "averages" if bilinear else "keeps"
    if name in AVERAGES:
        return "averages"
    if name == "Concatenate":
        return "joins"
    if _is_relu(layer, name):
        return "relu"
    if name in _MAKES or activation_of(layer) in _ACTIVATIONS:
        return "makes"
    return None


def fixed_grid_of(layer) -> Quantization | None:
    """Returns the grid that LiteRT prescribes for the output of a layer."""
    softmax = name_of(layer) == "Softmax"
    return _FIXED.get("softmax" if softmax else activation_of(layer))


def name_of(layer) -> str:
    """Returns the name of a layer's class, or of an operator's layer."""
    symbol = getattr(layer, "symbol", None)
    return _OPERATORS.get(symbol, type(layer).__name__)


def activation_of(layer) -> str | None:
    """Returns the name of what an Activation layer computes, else None."""
    if name_of(layer) != "Activation":
        return None
    return getattr(layer.activation, "__name__", None)


def _is_relu(layer, name):
    if name != "ReLU":
        return activation_of(layer) in _RELUS
    slope = getattr(layer, "negative_slope", 0.0)
    return layer.max_value in (None, 6) and not slope and not layer.threshold


def _is_subsampling(layer, name):
    return name in AVERAGES and set(layer.pool_size) == {1}


def _is_keras_own(layer):
    # A subclass may compute something else.
    root = type(layer).__module__.partition(".")[0]
    return root in ("keras", "tf_keras", "kure_tf")


def in_float(what):
    """Returns the error that something is in float, to be raised."""
    return ValueError(
        "Expected a model whose weights and activations are quantized, at an "
        f"operating point such as '4/8'. Received: {what} is in float. Set "
        "bits for both, and pin no layer to 'float': "
        "paper_placement(first_layer=8, last_layer=8)."
    )


def refuse(layer, why):
    """Raises that the converter has no integer operator for a layer."""
    raise ValueError(
        "Expected layers that TFLite's converter turns into integer "
        f"operators. Received: {name_of(layer)} {layer.name!r}: {why}"
    )
