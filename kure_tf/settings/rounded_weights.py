"""Weights rounded otherwise than to the nearest level, as data."""

import dataclasses

import numpy as np

from kure_tf.settings.step_sizes import StepSizes


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


def values_of(codes, step_size) -> np.ndarray:
    """Returns `codes * step_size`, float32.

    One rounding to float32: half a unit in the last place of the level.
    """
    return (np.asarray(codes, np.float64) * step_size).astype(np.float32)
