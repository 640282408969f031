"""Settings that read one stored code for each weight."""

import dataclasses

import numpy as np

from kure_materialize import read
from kure_tf.fake_quantized.tensors import some_quantizers_of
from kure_tf.settings import Setting
from kure_tf.settings.nested_weights import READINGS


@dataclasses.dataclass(frozen=True, eq=False)
class NestedPoints:
    """Settings of one artifact.

    Attributes:
        settings: The `Setting`s, most bits first.
        reading: How their weights are read from the codes of the first one.
        kernels: Paths of the kernels that are read; others are pinned.
    """

    settings: tuple[Setting, ...]
    reading: str
    kernels: frozenset[str]

    @property
    def points(self) -> list[list[int]]:
        """Bits of weights and activations of each setting."""
        return [_bits_of(setting) for setting in self.settings]


def nested_points(model, settings) -> NestedPoints:
    """Returns the settings of one artifact, checked and in order.

    Args:
        model: What `fake_quantize_model` or `quantize_aware` returned.
        settings: What `ptq.nested_settings` returned, in any order.

    Raises:
        TypeError: If one of them is something else.
        ValueError: If one has no nested weights or no activation bits, they
            are read in different ways, none is of 8 bits, two are of the same
            point, or codes are no readings of the 8-bit ones.
    """
    settings = tuple(settings)
    for setting in settings:
        _check(setting)
    points = [_bits_of(setting) for setting in settings]
    if not points or max(points)[0] != 8:
        raise ValueError(
            "Expected settings of which one has weights of 8 bits, from which "
            f"the others are read. Received the bits {points}."
        )
    twice = [point for point in points if points.count(point) > 1]
    readings = {setting.provenance["reading"] for setting in settings}
    if twice or len(readings) > 1:
        raise ValueError(
            "Expected settings of different points with one reading. Received: "
            f"the bits {points} and the readings {sorted(readings)}."
        )
    settings = tuple(sorted(settings, key=_bits_of, reverse=True))
    pinned = {
        path
        for path, tensor in some_quantizers_of(model).items()
        if tensor.pinned_bits is not None
    }
    first = settings[0].rounded_weights.codes
    nested = NestedPoints(
        settings, readings.pop(), frozenset(first) - frozenset(pinned)
    )
    for setting in settings[1:]:
        _check_codes(first, setting, nested)
    return nested


def _bits_of(setting):
    return [setting.provenance["nested_bits"], setting.point.activation_bits]


def _check(setting):
    if not isinstance(setting, Setting):
        raise TypeError(
            "Expected Settings, as ptq.nested_settings returns them. Received: "
            f"{type(setting).__name__}."
        )
    known = setting.provenance
    if (
        setting.rounded_weights is None
        or known.get("nested_bits") not in range(2, 9)
        or known.get("reading") not in READINGS
    ):
        raise ValueError(
            "Expected settings of nested weights, as ptq.nested_settings "
            "returns them: with codes, 'nested_bits' of 2 to 8 and a 'reading' "
            f"of {READINGS}. Received: one of {setting.point} with the "
            f"provenance {known}."
        )
    if setting.point.activation_bits is None:
        raise ValueError(
            "Expected settings without floats, as files of integers need them. "
            f"Received: {setting.point}. Name activation bits, such as 8, when "
            "the settings are made."
        )


def _check_codes(first, setting, nested):
    codes = setting.rounded_weights.codes
    bits = setting.provenance["nested_bits"]
    for path in first.keys() | codes.keys():
        expected = first.get(path)
        if path in nested.kernels:
            expected = read(expected, bits, nested.reading)
        if not np.array_equal(expected, codes.get(path)):
            raise ValueError(
                "Expected settings that read the same 8-bit codes. Those of "
                f"{path!r} at {setting.point} are no reading "
                f"{nested.reading!r} of the codes at "
                f"{nested.settings[0].point}. Pack the settings of one search, "
                "ptq.nested_settings, only."
            )
