"""tfmot's `QuantizeConfig` for LSQ, DoReFa and any kure_tf quantizer."""

import tf_keras

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.ops.checks import check_choice
from kure_tf.qat.tfmot.host import OutputHost, TensorHost
from kure_tf.qat.tfmot.imported import tfmot
from kure_tf.quantizers import (
    DoReFaActivationQuantizer,
    DoReFaWeightQuantizer,
    LSQQuantizer,
    Quantizer,
)
from kure_tf.settings.operating_point import check_bits

_register = tf_keras.utils.register_keras_serializable("kure_tf")
ACTIVATIONS = ("output", "input")


@_register
class HostedQuantizeConfig(tfmot.quantization.keras.QuantizeConfig):
    """Quantizes the kernels and one activation of a layer, by any quantizers.

    For convolutions (plain, depthwise, transposed, separable) and dense layers.

    Which activation: tfmot's wrapper can quantize what a layer returns, and
    does. Under `KureQuantizeScheme` it is the layer's input instead, where LSQ
    has it and where kure_tf's own engine has it.

    Args:
        weight_quantizer: `Quantizer` of each kernel, or None.
        activation_quantizer: `Quantizer` of the activation, or None.
        weight_bits: Bit-width that the weights start at; None starts in float.
        activation_bits: Likewise for the activation.
        activation_range: `(lowest, highest)` that the activation's first step
            size covers, with `activation_bits`. `set_step_sizes` with a
            calibrated one is better; where nothing is negative, give 0 as the
            lowest, which saves a bit.
        pinned_bits: Bit-width that operating points do not change, or None.
        path: What the layer's tensors are called: "<path>/kernel"; None for
            the name of the layer.
        activations: "output" or "input": see above.

    Raises:
        ValueError: If bits do not exist on the grid of their quantizer, the
            range is empty, or `activations` is something else.
    """

    def __init__(
        self,
        weight_quantizer=None,
        activation_quantizer=None,
        *,
        weight_bits=None,
        activation_bits=None,
        activation_range=(-6.0, 6.0),
        pinned_bits=None,
        path=None,
        activations="output",
    ):
        _check_bits("weight_bits", weight_bits, weight_quantizer)
        _check_bits("activation_bits", activation_bits, activation_quantizer)
        low, high = activation_range
        if not low <= 0.0 <= high or not low < high:
            raise ValueError(
                "Expected activation_range as (lowest, highest) around 0, such "
                f"as (-6.0, 6.0) or (0.0, 6.0). Received: {activation_range!r}."
            )
        check_choice("activations", activations, ACTIVATIONS)
        self.weight_quantizer = weight_quantizer
        self.activation_quantizer = activation_quantizer
        self.weight_bits = weight_bits
        self.activation_bits = activation_bits
        self.activation_range = (float(low), float(high))
        self.pinned_bits = pinned_bits
        self.path = path
        self.activations = activations

    def get_weights_and_quantizers(self, layer):
        """Returns `[(kernel, its TensorHost), ...]`.

        Raises:
            TypeError: If `layer` is no convolution or dense layer.
        """
        kernels = compat.kernels_of(layer)
        if not compat.is_linear(layer):
            raise TypeError(
                f"Expected {type(self).__name__} on a convolution or dense "
                f"layer of tf_keras. Received: {type(layer).__name__} "
                f"{layer.name!r}, whose kernels tfmot's wrapper does not "
                "reach. Leave the layer without annotation."
            )
        if self.weight_quantizer is None:
            return []
        return [
            (
                getattr(layer, kernel.attribute),
                TensorHost(
                    self.weight_quantizer,
                    kernel.attribute,
                    channel_axes=kernel.channel_axes,
                    bits=self.weight_bits,
                    pinned_bits=self.pinned_bits,
                    path=self.path,
                ),
            )
            for kernel in kernels
        ]

    def set_quantize_weights(self, layer, quantize_weights):
        """Makes `layer` compute with `quantize_weights` in its next call."""
        for kernel, value in zip(
            compat.kernels_of(layer) if quantize_weights else (),
            quantize_weights,
            strict=True,
        ):
            # The usual way would track the tensor as a weight.
            value = compat.as_weight(layer, value)
            object.__setattr__(layer, kernel.attribute, value)

    def get_activations_and_quantizers(self, layer):
        """Returns []: activation functions stay as they are."""
        return []

    def set_quantize_activations(self, layer, quantize_activations):
        """Does nothing: activation functions stay as they are."""

    def get_output_quantizers(self, layer):
        """Returns the host of what the layer returns, in a list."""
        if self.activations == "input":
            return []
        kernels = [kernel.attribute for kernel in compat.kernels_of(layer)]
        return [
            OutputHost(
                self.activation_quantizer, kernels, **self._activation_options()
            )
        ]

    def get_input_quantizers(self, layer):
        """Returns the host of the layer's input, in a list."""
        if self.activations == "output" or self.activation_quantizer is None:
            return []
        return [
            TensorHost(
                self.activation_quantizer,
                "input",
                **self._activation_options(),
            )
        ]

    def _activation_options(self):
        return {
            "bits": self.activation_bits,
            "first_range": self.activation_range,
            "pinned_bits": self.pinned_bits,
            "path": self.path,
        }

    def on_inputs(self):
        """Returns the same configuration with `activations="input"`."""
        return self.from_config({**self.get_config(), "activations": "input"})

    def get_config(self):
        return {
            "weight_quantizer": _serialize(self.weight_quantizer),
            "activation_quantizer": _serialize(self.activation_quantizer),
            "weight_bits": self.weight_bits,
            "activation_bits": self.activation_bits,
            "activation_range": list(self.activation_range),
            "pinned_bits": self.pinned_bits,
            "path": self.path,
            "activations": self.activations,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in ("weight_quantizer", "activation_quantizer"):
            config[name] = _deserialize(config.get(name))
        # The quantizers tell all that those derived from it are made of.
        return HostedQuantizeConfig(**config)

    def __eq__(self, other):
        return (
            isinstance(other, HostedQuantizeConfig)
            and self.get_config() == other.get_config()
        )

    __hash__ = None


@_register
class LSQQuantizeConfig(HostedQuantizeConfig):
    """Learned step sizes (Esser et al. 2020): see `LSQQuantizer`.

    Args:
        weight_bits: Bit-width of the kernels; None leaves them in float.
        activation_bits: Bit-width of the activation; None leaves it in float.
        grid: Grid of the kernels: "narrow" is what LiteRT stores.
        activation_grid: Grid of the activation.
        granularity: "per_tensor" or "per_channel", of the kernels.
        **shared: `activation_range`, `pinned_bits`, `path`, `activations`: see
            `HostedQuantizeConfig`.

    Example:
        >>> layer = tfmot.quantization.keras.quantize_annotate_layer(
        ...     tf_keras.layers.Conv2D(16, 3), LSQQuantizeConfig(4, 4)
        ... )
    """

    def __init__(
        self,
        weight_bits=4,
        activation_bits=4,
        *,
        grid="narrow",
        activation_grid="signed_or_unsigned",
        granularity="per_tensor",
        **shared,
    ):
        super().__init__(
            weight_bits and LSQQuantizer(grid, granularity),
            activation_bits and LSQQuantizer(activation_grid, batched=True),
            weight_bits=weight_bits,
            activation_bits=activation_bits,
            **shared,
        )


@_register
class DoReFaQuantizeConfig(HostedQuantizeConfig):
    """DoReFa-Net (Zhou et al. 2016): see `DoReFaWeightQuantizer`.

    Args:
        weight_bits: Bit-width of the kernels; None leaves them in float.
        activation_bits: Bit-width of the activation; None leaves it in float.
        grid: Grid of the kernels: "narrow" is what LiteRT stores, "reference"
            has Zhou et al.'s levels.
        granularity: "per_tensor" or "per_channel", of the kernels.
        clip: The activation is clipped to [0, clip].
        rescale, max_gradient: See `DoReFaWeightQuantizer`.
        **shared: `pinned_bits`, `path`, `activations`: see
            `HostedQuantizeConfig`.
    """

    def __init__(
        self,
        weight_bits=4,
        activation_bits=4,
        *,
        grid="narrow",
        granularity="per_tensor",
        clip=1.0,
        rescale=True,
        max_gradient=False,
        **shared,
    ):
        weights = weight_bits and DoReFaWeightQuantizer(
            grid, granularity, rescale=rescale, max_gradient=max_gradient
        )
        super().__init__(
            weights,
            activation_bits and DoReFaActivationQuantizer(clip),
            weight_bits=weight_bits,
            activation_bits=activation_bits,
            activation_range=(0.0, clip),
            **shared,
        )


def _check_bits(name, bits, quantizer):
    if bits is not None:
        check_bits(bits, name)
        if quantizer is not None:
            quantizer.grid.check_bits(bits)


# Names and options only: Keras's own serial form differs from Keras to Keras
# and from file format to file format.
def _serialize(quantizer):
    if quantizer is None:
        return None
    name = keras.saving.get_registered_name(type(quantizer))
    return {"name": name, "options": quantizer.get_config()}


def _deserialize(config):
    if config is None or isinstance(config, Quantizer):
        return config
    kind = keras.saving.get_registered_object(config["name"])
    if kind is None:
        raise ValueError(
            f"Expected a registered quantizer. Received {config['name']!r}, "
            "which is not. Import the module that defines it, and register the "
            "class: kure_tf.compat.register_serializable."
        )
    return kind.from_config(config["options"])
