"""Placement: which tensors of a model get a quantizer."""

import copy
import dataclasses

from kure_tf import compat
from kure_tf.quantizers import Quantizer, UniformQuantizer
from kure_tf.settings.operating_point import check_bits

_WEIGHT_GRIDS = ("narrow", "full", "reference", "equation1")


@dataclasses.dataclass(frozen=True)
class Placement:
    """Which tensors get a quantizer, and which layers are pinned.

    Quantizers sit on the kernels of layers and on their inputs: convolutions,
    dense layers, recurrent ones (state, and what stacked cells hand on, too),
    embeddings (kernels alone), attention (what it multiplies inside, too). A
    pinned layer does not follow the operating point: it is left in float
    ("float"), or runs at a bit-width of its own whenever the point is not float
    (8).

    Attributes:
        weights: Quantizer of the kernels, on a symmetric grid; None leaves
            them in float.
        activations: Quantizer of the layers' inputs; None leaves them so.
        first_layer: "float", a bit-width, or None for no exception; the first
            layer with a kernel in the order of the graph.
        last_layer: Likewise for the last one.
        pinned: `{layer name or path: "float" or a bit-width}` for others.
        fold_batch_norm: Whether batch normalization is folded into the
            kernels first, as LiteRT does.
        dense_per_tensor: Whether dense layers get one step for their whole
            kernel where `weights` has one per channel: what devices need whose
            fully connected operator takes one scale.
        name: What reports call it.

    Raises:
        ValueError: If a pin is no bit-width, or the grid of `weights` is one
            for activations.
    """

    weights: Quantizer | None = UniformQuantizer("narrow")
    activations: Quantizer | None = UniformQuantizer("signed_or_unsigned")
    first_layer: str | int | None = None
    last_layer: str | int | None = None
    pinned: dict = dataclasses.field(default_factory=dict)
    fold_batch_norm: bool = False
    dense_per_tensor: bool = False
    name: str = "custom"

    def __post_init__(self):
        for pin in (self.first_layer, self.last_layer, *self.pinned.values()):
            if pin not in (None, "float"):
                check_bits(pin, "a pinned bit-width")
        grid = self.weights and self.weights.grid
        if grid and (grid.adaptive or grid.name == "unsigned"):
            raise ValueError(
                "Expected a symmetric grid for weights, one of "
                f"{sorted(_WEIGHT_GRIDS)}. Received: {grid.name!r}, a grid "
                "for activations."
            )

    def check_point(self, point):
        """Raises a ValueError if a grid does not exist at `point`."""
        for quantizer, bits in (
            (self.weights, point.weight_bits),
            (self.activations, point.activation_bits),
        ):
            if quantizer is not None:
                quantizer.grid.check_bits(bits)

    def weights_of(self, layer):
        """Returns the quantizer of the kernels of one layer, or None."""
        layers = compat.keras_module(layer).layers
        inside, _ = compat.without_wrappers(layer)
        is_dense = isinstance(inside, (layers.Dense, layers.EinsumDense))
        if self.weights is None or not (is_dense and self.dense_per_tensor):
            return self.weights
        together = copy.copy(self.weights)
        together.granularity = "per_tensor"
        return together

    def chosen(self, model):
        """Returns the `ChosenLayers` of a model.

        Raises:
            ValueError: If `pinned` names a layer that has no kernel.
        """
        layers = dict(compat.layers_of(model))
        with_kernels = [p for p in layers if compat.kernels_of(layers[p])]
        pins = self._pins(layers, with_kernels)
        quantized, skipped = {}, {}
        for path, layer in layers.items():
            if path not in with_kernels:
                if layer.weights:
                    skipped[path] = compat.why_no_kernels(layer)
            elif pins.get(path) == "float":
                skipped[path] = "pinned to float"
            else:
                quantized[path] = pins.get(path)
        return ChosenLayers(quantized, skipped)

    def _pins(self, layers, with_kernels):
        pins = {}
        if with_kernels:
            pins[with_kernels[-1]] = self.last_layer
            if self.first_layer is not None or len(with_kernels) > 1:
                pins[with_kernels[0]] = self.first_layer
        for name, pin in self.pinned.items():
            found = [
                path
                for path in with_kernels
                if name in (path, layers[path].name)
            ]
            if not found:
                raise ValueError(
                    "Expected to pin layers with a kernel, of "
                    f"{with_kernels}. Received: {name!r}."
                )
            pins.update(dict.fromkeys(found, pin))
        return pins


@dataclasses.dataclass(frozen=True)
class ChosenLayers:
    """What a placement does with the layers of one model.

    Attributes:
        quantized: `{layer path: pinned bits, or None}`.
        skipped: `{layer path: why it is not quantized}`, of layers with
            weights.
    """

    quantized: dict
    skipped: dict

    def __str__(self):
        lines = [
            f"{path}: quantized" + (f", pinned to {bits} bits" if bits else "")
            for path, bits in self.quantized.items()
        ]
        lines += [
            f"{path}: not quantized: {why}"
            for path, why in self.skipped.items()
        ]
        return "\n".join(lines)


def paper_placement(**changes) -> Placement:
    """The paper's placement: unfolded kernels, per tensor, ends in float.

    Weights on the narrow grid, activations unsigned where calibration saw
    nothing negative, else signed; the first and the last layer stay float.

    Args:
        **changes: Attributes of `Placement` to set otherwise.
    """
    return dataclasses.replace(
        Placement(first_layer="float", last_layer="float", name="paper"),
        **changes,
    )


def tflite_placement(**changes) -> Placement:
    """LiteRT's placement: batch norm folded, per-channel weights, 8-bit ends.

    Weights on the narrow grid with a step per output channel, activations
    asymmetric; the first and the last layer are pinned to 8 bits.

    Args:
        **changes: Attributes of `Placement` to set otherwise.
    """
    return dataclasses.replace(
        Placement(
            weights=UniformQuantizer("narrow", "per_channel"),
            activations=UniformQuantizer("asymmetric"),
            first_layer=8,
            last_layer=8,
            fold_batch_norm=True,
            name="tflite",
        ),
        **changes,
    )


PLACEMENTS = {"paper": paper_placement, "tflite": tflite_placement}


def get(name) -> Placement:
    """Returns the placement of that name; a `Placement` is returned as is."""
    if isinstance(name, Placement):
        return name
    if name not in PLACEMENTS:
        raise ValueError(
            f"Expected a Placement, or the name of one, {sorted(PLACEMENTS)}. "
            f"Received: {name!r}."
        )
    return PLACEMENTS[name]()
