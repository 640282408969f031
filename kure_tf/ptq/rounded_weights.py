"""Weights rounded otherwise than to the nearest level: as data, and setting."""

import dataclasses

import numpy as np

from kure_tf.fake_quantized import quantizers_of, set_step_sizes
from kure_tf.quantizers import StepSizes


@dataclasses.dataclass(frozen=True, eq=False)  # It holds arrays.
class RoundedWeights:
    """The level that each weight of a fake-quantized model goes to.

        weight = codes * step_size

    Attributes:
        codes: `{tensor path: integers of the shape of the kernel}`.
        step_sizes: `StepSizes` of these tensors, the ones they were made for.
        provenance: Method, options, images, and under "layers" the loss of
            each tensor before and after.
        skipped: `{tensor path: why it keeps the nearest level}`.
    """

    codes: dict
    step_sizes: StepSizes
    provenance: dict = dataclasses.field(default_factory=dict)
    skipped: dict = dataclasses.field(default_factory=dict)


def set_rounded_weights(model, rounded):
    """Writes rounded weights and their step sizes into a model, in place.

    The kernels become `codes * step_size`. On its grid, a quantizer gives each
    of them its own level again, so that the model runs with these codes at an
    operating point with the bits they were made for, a step ratio of 1 and no
    rounding of the step. Other points round the rounded weights once more.

    The float kernels are overwritten: `keeping_kernels(model)` puts them back.

    Args:
        model: What `fake_quantize_model` returned; its quantizers are written
            too, its operating point is not.
        rounded: `RoundedWeights` for it.

    Raises:
        ValueError: If `rounded` names a tensor that is no quantized kernel of
            the model, does not fit its shape, or lacks its step size. Nothing
            is written then.
    """
    tensors = {
        path: tensor
        for path, tensor in quantizers_of(model).items()
        if tensor.kind == "weight"
    }
    values = {}
    for path, codes in rounded.codes.items():
        shape = tuple(tensors[path].variable.shape) if path in tensors else None
        if np.shape(codes) != shape or path not in rounded.step_sizes.tensors:
            raise ValueError(
                "Expected codes, with step sizes, for quantized kernels, of "
                f"{sorted(tensors)}. Received some of shape {np.shape(codes)} "
                f"for {path!r}, which do not fit."
            )
        step = rounded.step_sizes.tensors[path]
        values[path] = values_of(codes, step.step_size)
    set_step_sizes(model, rounded.step_sizes)
    for path, value in values.items():
        tensors[path].variable.assign(value)


def values_of(codes, step_size) -> np.ndarray:
    """Returns `codes * step_size`, float32.

    One rounding to float32: half a unit in the last place of the level.
    """
    return (np.asarray(codes, np.float64) * step_size).astype(np.float32)
