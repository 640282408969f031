"""One stored int8 code for each weight, read at many bit-widths."""

import dataclasses

import numpy as np

from kure_materialize import read
from kure_tf.ops.checks import check_choice, check_kind, check_whole
from kure_tf.settings.bias_correction import BiasCorrection
from kure_tf.settings.operating_point import OperatingPoint
from kure_tf.settings.rounded_weights import RoundedWeights
from kure_tf.settings.step_sizes import StepSizes, TensorStep

READINGS = ("even", "middle", "truncate")
"""How a device may read codes coarsely: see `kure_materialize.read`."""


@dataclasses.dataclass(frozen=True, eq=False)  # It holds arrays.
class NestedWeights:
    """Codes of 8 bits whose coarse readings are the weights of fewer bits.

    With b bits, k = 8 - b and the step size s of the 8-bit codes c,

        even      weight = 2^k s clip(round(c / 2^k)), ties to even
        middle    weight = 2^(k-1) s (2 floor(c / 2^k) + 1)      (s c if k = 0)
        truncate  weight = 2^k s floor(c / 2^k)

    times the kernel's gain at b, where it has one.

    Attributes:
        codes: `{kernel path: int8 array of its shape}`, from -127 to 127; of a
            pinned kernel those of its own bits.
        step_sizes: `{kernel path: float32 array}`: s; for a pinned kernel the
            step of its own bits. A scalar, or of a shape that broadcasts.
        reading: "even", "middle" or "truncate".
        pinned: `{kernel path: bits}` of the kernels that are not read at
            other bits than their own.
        bias_corrections: `{bits: BiasCorrection}`, for layers without batch
            normalization behind.
        gains: `{bits: {kernel path: float32 array}}`: what s is multiplied by
            at that width, of the shape of s, for layers without batch
            normalization behind; a path that is missing has 1.
        provenance: Method, options, images, and under "layers" the errors of
            each kernel.
        skipped: `{kernel path: why it has the nearest codes}`.
    """

    codes: dict
    step_sizes: dict
    reading: str = "even"
    pinned: dict = dataclasses.field(default_factory=dict)
    bias_corrections: dict = dataclasses.field(default_factory=dict)
    gains: dict = dataclasses.field(default_factory=dict)
    provenance: dict = dataclasses.field(default_factory=dict)
    skipped: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        check_choice("a reading", self.reading, READINGS)

    def at(self, bits) -> RoundedWeights:
        """Returns the weights that a device of `bits` bits reads.

        Raises:
            TypeError, ValueError: If `bits` is no integer from 2 to 8.
        """
        check_whole("bits", bits, 2, 8)
        codes, steps = {}, {}
        gains = self.gains.get(bits, {})
        unit, width = unit_of(bits, self.reading)
        for path, stored in self.codes.items():
            own = self.pinned.get(path)
            codes[path] = stored if own else read(stored, bits, self.reading)
            step = self.step_sizes[path] * (1 if own else unit)
            gain = gains.get(path, np.float32(1.0))
            steps[path] = TensorStep(step * gain, own or width)
        return RoundedWeights(
            codes, StepSizes(steps), self.provenance, self.skipped
        )

    def bias_correction_at(self, bits) -> BiasCorrection | None:
        """Returns the shifts of biases at `bits` bits, None without any.

        Raises:
            ValueError: If biases are corrected at other widths only.
        """
        if self.bias_corrections and bits not in self.bias_corrections:
            raise ValueError(
                "Expected one of the widths at which biases are corrected, "
                f"{sorted(self.bias_corrections)}. Received: {bits}. Name it "
                "in the bits of the search, ptq.nested_rounding(bits=...)."
            )
        return self.bias_corrections.get(bits)


def unit_of(bits, reading) -> tuple[int, int]:
    """Returns the unit of what is read, in steps of 8 bits, and its grid.

    The second number is the bit-width of the grid that holds it: "narrow", for
    "truncate" "full". The odd numbers of "middle" need one bit more.
    """
    k = 8 - bits
    if reading == "middle" and k:
        return 2 ** (k - 1), bits + 1
    return 2**k, bits


def nested_point(bits, activation_bits, reading) -> OperatingPoint:
    """Returns the operating point of a model that reads `bits` bits."""
    grid = "full" if reading == "truncate" else "narrow"
    width = unit_of(bits, reading)[1]
    return OperatingPoint(width, activation_bits, grid=grid)


def checked_widths(bits) -> list[int]:
    """Returns the widths of a search in order, fewest first.

    Raises:
        TypeError, ValueError: If there are others than 2 to 8, or not 8.
    """
    check_kind("bits", bits, (list, tuple), "(8, 6, 4, 3, 2)")
    found = sorted({check_whole("bits", one, 2, 8) for one in bits})
    if not found or found[-1] != 8:
        raise ValueError(
            "Expected bits of 2 to 8, with 8, the bits of the stored codes, "
            f"among them. Received: {tuple(bits)}."
        )
    return found
