"""KURE in a training run, as a value."""

import dataclasses
from typing import Literal

from kure_tf.ops.checks import check_whole
from kure_tf.regularizers import (
    KurtosisRegularizer,
    choose_kernels,
    regularize_kurtosis,
)
from kure_tf.training import KurtosisRamp

_RULES = ("all_but_first", "convs_but_first")


@dataclasses.dataclass(frozen=True)
class Kure:
    """Which kernels of a model are pulled to which kurtosis, and how hard.

    Attributes:
        coefficient: lambda of Eq. 14; each of the L kernels gets lambda / L.
            0 trains without KURE.
        target: K_T of Eq. 15; 1.8 is uniform.
        layers: "all_but_first", "convs_but_first" (the paper's code), or the
            names of layers.
        granularity: "per_tensor", one kurtosis for a kernel, or "per_channel",
            one for each output channel.
        ramp_epochs: Epochs over which the coefficient rises from near 0, step
            by step (see `KurtosisRamp`); 0: it is constant.

    Raises:
        ValueError: If a value is outside what is allowed.
    """

    coefficient: float = 0.0
    target: float = 1.8
    layers: tuple[str, ...] = ("all_but_first",)
    granularity: Literal["per_tensor", "per_channel"] = "per_tensor"
    ramp_epochs: int = 0

    def __post_init__(self):
        layers = self.layers
        layers = (layers,) if isinstance(layers, str) else tuple(layers)
        object.__setattr__(self, "layers", layers)
        check_whole("ramp_epochs", self.ramp_epochs, 0)
        # It knows what is allowed.
        KurtosisRegularizer(
            self.target, self.coefficient, granularity=self.granularity
        )

    def chosen_layers(self, model) -> list:
        """Returns the paths of the layers that KURE acts on."""
        return list(choose_kernels(model, self._rule)[0])

    def attached(self, model):
        """Returns `model` with KURE on its kernels; itself without KURE."""
        if not self.coefficient:
            return model
        return regularize_kurtosis(
            model,
            self.target,
            self.coefficient,
            granularity=self.granularity,
            layers=self._rule,
        )

    def callbacks(self) -> list:
        """Returns the Keras callback that raises the coefficient, if any."""
        if not (self.coefficient and self.ramp_epochs):
            return []
        return [KurtosisRamp(self.ramp_epochs)]

    @property
    def _rule(self):
        first, *more = self.layers or ("",)
        return first if first in _RULES and not more else self.layers
