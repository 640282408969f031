"""Quantization in the loop of a training run, as values."""

import dataclasses
from typing import Literal

from kure_tf.fake_quantized import placement as placements
from kure_tf.qat import SampledPrecision, methods, quantize_aware
from kure_tf.settings.operating_point import OperatingPoint, parse_bits


@dataclasses.dataclass(frozen=True)
class Qat:
    """Quantization-aware training.

    Attributes:
        method: "lsq" or "dorefa".
        point: Operating point to train for, such as "4/4" or "4/FP".
        scheme: "paper" (per tensor, ends in float) or "tflite" (batch norm
            folded, per channel, ends at 8 bits).
        engine: Who hosts the quantizers. Default: tfmot for tf_keras, native
            for Keras 3.

    Raises:
        ValueError: If there is no such point, or no such grid at it.
    """

    method: Literal["lsq", "dorefa"]
    point: str = "4/4"
    scheme: Literal["paper", "tflite"] = "paper"
    engine: Literal[None, "native", "tfmot"] = None

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
        method(placements.get(self.scheme)).check_point(point)

    def applied(self, model, calibration):
        """Returns a quantization-aware copy of `model`.

        Args:
            model: The model.
            calibration: Batches that activations get their first steps from.
        """
        point = OperatingPoint.parse(self.point)
        return quantize_aware(
            model,
            self.method,
            point.weight_bits,
            point.activation_bits,
            placement=self.scheme,
            calibration=calibration,
            engine=self.engine,
        )


@dataclasses.dataclass(frozen=True)
class Sampling:
    """Quantization-aware training at an operating point drawn for every step.

    Attributes:
        weight_bits: Weight bits to draw from, such as 3,4,5,6,8,FP.
        activation_bits: Bits of the activations to draw from.
        step_scale: Lowest and highest step ratio, such as 0.8,1.3; none for a
            ratio of 1.
        power_of_two: Probability of power-of-two steps.

    Raises:
        ValueError: If a value is outside what is allowed.
    """

    weight_bits: tuple[str, ...]
    activation_bits: tuple[str, ...] = ("FP",)
    step_scale: tuple[float, ...] = ()
    power_of_two: float = 0.0

    def __post_init__(self):
        if len(self.step_scale) not in (0, 2):
            raise ValueError(
                "Expected step_scale as two ratios, the lowest and the "
                f"highest, such as 0.8,1.3. Received: {self.step_scale!r}."
            )
        self.callback("FP/FP", 0)  # It knows what is allowed.

    def callback(self, point, seed) -> SampledPrecision:
        """Returns the Keras callback that draws.

        Args:
            point: The operating point after training, and for validation.
            seed: Seed of the draw.
        """
        return SampledPrecision(
            [parse_bits(text) for text in self.weight_bits],
            [parse_bits(text) for text in self.activation_bits],
            step_scale=tuple(self.step_scale) or None,
            power_of_two=self.power_of_two,
            final=point,
            seed=seed,
        )
