"""Methods of quantization-aware training: which quantizers a placement gets.

A method is a function `(placement, **options) -> Placement`.
"""

import dataclasses

from kure_tf.quantizers import (
    DoReFaActivationQuantizer,
    DoReFaWeightQuantizer,
    LSQQuantizer,
    NestedLSQQuantizer,
)


def lsq(placement, *, weight_start="paper", activation_start="mse"):
    """Learned step sizes (Esser et al. 2020) for weights and activations.

    Grids and granularity are those of the placement. See `LSQQuantizer`.

    Args:
        placement: A `Placement`.
        weight_start: First step sizes of the weights, "paper" or "mse".
        activation_start: First step sizes of the activations, likewise.
            (Fine-tuning a ResNet-20 for two short epochs at 4/4, CIFAR-10,
            seed 0: 84.7 % from the paper's start, 85.8 % from the smallest
            error, where float training has 86.7 %.)
    """
    weights, activations = placement.weights, placement.activations
    if weights is not None:
        weights = LSQQuantizer(
            weights.grid, weights.granularity, start=weight_start
        )
    if activations is not None:
        activations = LSQQuantizer(
            activations.grid, batched=True, start=activation_start
        )
    return dataclasses.replace(
        placement, weights=weights, activations=activations
    )


def nested_lsq(placement, *, weight_start="mse", activation_start="mse"):
    """LSQ for one 8-bit code of each weight, which is read at many widths.

    With `SampledPrecision` all widths are trained together; `nested_weights`
    returns the codes. Start at the fewest bits that will be read: the step of
    all widths then comes from there. See `NestedLSQQuantizer`.

    Args:
        placement: A `Placement`; the grid of its weights is "narrow".
        weight_start, activation_start: As for `lsq`.
    """
    weights = placement.weights
    if weights is not None:
        weights = NestedLSQQuantizer(
            weights.grid, weights.granularity, start=weight_start
        )
    placement = lsq(placement, activation_start=activation_start)
    return dataclasses.replace(placement, weights=weights)


def dorefa(placement, *, clip=None, **options):
    """DoReFa-Net (Zhou et al. 2016) for weights and activations.

    The grid of the weights is that of the placement: on "narrow", its default,
    what is trained can be deployed; a placement with the grid "reference"
    gives Zhou et al.'s own levels.

    Args:
        placement: A `Placement`.
        clip: See `DoReFaActivationQuantizer`; None takes the clip from
            calibration images, 1.0 is the paper's.
        **options: See `DoReFaWeightQuantizer`: `rescale`, `max_gradient`.
    """
    weights, activations = placement.weights, placement.activations
    if weights is not None:
        weights = DoReFaWeightQuantizer(
            weights.grid, weights.granularity, **options
        )
    if activations is not None:
        activations = DoReFaActivationQuantizer(clip)
    return dataclasses.replace(
        placement, weights=weights, activations=activations
    )


METHODS = {"dorefa": dorefa, "lsq": lsq, "nested_lsq": nested_lsq}


def get(name):
    """Returns the method of that name; a function is returned as it is."""
    if callable(name):
        return name
    if name not in METHODS:
        raise ValueError(
            "Expected a method of quantization-aware training, one of "
            f"{sorted(METHODS)}, or a function of a Placement that returns "
            f"one. Received: {name!r}."
        )
    return METHODS[name]
