"""Quantization in the loop of a training run, as a value."""

import dataclasses
from typing import Literal

from kure_tf.fake_quantized import placement as placements
from kure_tf.qat import SampledPrecision, methods, quantize_aware
from kure_tf.settings.operating_point import OperatingPoint, parse_bits


@dataclasses.dataclass(frozen=True)
class Qat:
    """Quantization-aware training, at one operating point or at many.

    Attributes:
        method: "lsq", "dorefa" or "nested_lsq".
        point: Operating point to train for, such as "4/4" or "4/FP".
        placement: "paper" (per tensor, ends in float) or "tflite" (batch norm
            folded, per channel, ends at 8 bits).
        engine: Who hosts the quantizers. Default: tfmot for tf_keras, native
            for Keras 3.
        sampled_weight_bits: Weight bits to draw from before every step, such
            as 3,4,5,6,8,FP; none to stay at `point`.
        sampled_activation_bits: Bits of the activations, drawn likewise.
        sampled_step_scale: Lowest and highest step ratio, drawn likewise, such
            as 0.8,1.3; none for a ratio of 1.
        sampled_power_of_two: Probability of power-of-two steps, likewise.

    Raises:
        ValueError: If there is no such point, no such grid at it, or nothing
            to draw from what is given.
    """

    method: Literal["lsq", "dorefa", "nested_lsq"]
    point: str = "4/4"
    placement: Literal["paper", "tflite"] = "paper"
    engine: Literal[None, "native", "tfmot"] = None
    sampled_weight_bits: tuple[str, ...] = ()
    sampled_activation_bits: tuple[str, ...] = ("FP",)
    sampled_step_scale: tuple[float, ...] = ()
    sampled_power_of_two: float = 0.0

    def __post_init__(self):
        point = OperatingPoint.parse(self.point)
        bits = OperatingPoint(point.weight_bits, point.activation_bits)
        if point != bits:
            raise ValueError(
                "Expected an operating point of bits alone to train for, such "
                f"as '{bits}'. Received: '{point}'."
            )
        object.__setattr__(self, "point", str(point))
        method = methods.get(self.method)
        method(placements.get(self.placement)).check_point(point)
        if len(self.sampled_step_scale) not in (0, 2):
            raise ValueError(
                "Expected sampled_step_scale as two ratios, the lowest and the "
                "highest, such as 0.8,1.3. Received: "
                f"{self.sampled_step_scale!r}."
            )
        self.callbacks(seed=0)  # They know what is allowed.

    def applied(self, model, calibration):
        """Returns a quantization-aware copy of `model`.

        Activations get their first steps from the calibration batches.
        """
        point = OperatingPoint.parse(self.point)
        return quantize_aware(
            model,
            self.method,
            point.weight_bits,
            point.activation_bits,
            placement=self.placement,
            calibration=calibration,
            engine=self.engine,
        )

    def callbacks(self, seed) -> list:
        """Returns the Keras callback that draws with `seed`, if any."""
        if not self.sampled_weight_bits:
            return []
        return [
            SampledPrecision(
                [parse_bits(text) for text in self.sampled_weight_bits],
                [parse_bits(text) for text in self.sampled_activation_bits],
                step_scale=tuple(self.sampled_step_scale) or None,
                power_of_two=self.sampled_power_of_two,
                final=self.point,
                seed=seed,
            )
        ]
