"""Operating points: at which bits, and how far off step, a model runs."""

import dataclasses
import numbers
import re

from kure_tf.ops.checks import check_choice

FP = 32
"""The value of a `bits` variable that means: leave the tensor in float."""

MIN_BITS = 1
MAX_BITS = 16

_PATTERN = re.compile(
    r"(?P<weights>FP|\d+)\s*/\s*(?P<activations>FP|\d+)"
    r"(?:\s+x(?P<scale>[0-9.eE+-]+)"
    r"(?:\s*/\s*(?P<activation_scale>[0-9.eE+-]+))?)?"
    r"(?:\s+(?P<rounding>pow2(?:-up)?))?"
    r"(?:\s+(?P<mode>half[-_]up|floor|stochastic(?::\d+)?))?"
    r"(?:\s+(?P<grid>narrow|full))?",
    re.IGNORECASE,
)
_LETTERS = re.compile(r"^W\s*(FP|\d+)\s*/?\s*A\s*(FP|\d+)", re.IGNORECASE)
_ROUNDINGS = {"nearest": "pow2", "up": "pow2-up"}
_GRIDS = ("narrow", "full")
_MODE = re.compile(r"nearest|half_up|floor|stochastic(:\d+)?")
MAX_SEED = 2**31 - 1
_MAX_SCALE = 1e6  # Beyond it, and below its inverse, nothing is left of x.


@dataclasses.dataclass(frozen=True)
class OperatingPoint:
    """Weight bits / activation bits / step ratios / rounding, mode, grid.

    Written `4/8`, `4/FP`, `4/4 x1.02`, `4/4 x1/1.1` (ratio of the weights /
    of the activations), `3/FP pow2`, `4/FP floor`, `4/4 half-up`,
    `4/FP stochastic:3`, `4/8 full`; `str` and `parse` convert. `parse` reads
    `W4A8` too.

    Attributes:
        weight_bits: Bit-width of the weights, 1 to 16; None is float ("FP").
            One bit works only on a grid without zero.
        activation_bits: Likewise for the activations.
        step_scale: Ratio of the step size used to the calibrated one, applied
            to every weight that is not pinned: the paper's perturbation of
            its section 5.1. Dimensionless, 1e-6 to 1e6.
        step_rounding: None keeps step sizes as they are. "nearest" rounds
            each one (weights and activations) to the power of two nearest in
            the logarithm (Table A.5), "up" to the next larger one. `step_scale`
            multiplies after the rounding.
        activation_step_scale: Like `step_scale`, for the activations that are
            not pinned. Zero stays zero: on an asymmetric grid both ends of the
            clipping range are multiplied.
        rounding_mode: How quantizers round values, pinned ones included:
            "nearest" (halves to the even level), "half_up" (halves to the
            upper one), "floor" (down, what truncating hardware does) or
            "stochastic:<seed>" (up with the probability of the fraction;
            "stochastic" is seed 0). A seed draws the same for each batch, and
            other numbers for each tensor.
        grid: "narrow" leaves weights the levels that their steps were chosen
            for. "full" reads those of the grid "narrow", pinned ones included,
            on the same steps with one level more at the low end, -2^(b-1):
            what two's complement holds. Only the clipping changes.

    Raises:
        ValueError: If a value is outside what is allowed.
    """

    weight_bits: int | None = None
    activation_bits: int | None = None
    step_scale: float = dataclasses.field(default=1.0, kw_only=True)
    step_rounding: str | None = dataclasses.field(default=None, kw_only=True)
    activation_step_scale: float = dataclasses.field(default=1.0, kw_only=True)
    rounding_mode: str = dataclasses.field(default="nearest", kw_only=True)
    grid: str = dataclasses.field(default="narrow", kw_only=True)

    def __post_init__(self):
        for name in ("weight_bits", "activation_bits"):
            bits = getattr(self, name)
            if bits is not None:
                object.__setattr__(self, name, check_bits(bits, name))
        for name in ("step_scale", "activation_step_scale"):
            scale = _checked_scale(getattr(self, name))
            object.__setattr__(self, name, scale)
        if self.step_rounding is not None and (
            self.step_rounding not in _ROUNDINGS
        ):
            raise ValueError(
                "Expected a step rounding of None, 'nearest' or 'up' (to a "
                f"power of two). Received: {self.step_rounding!r}."
            )
        mode = check_rounding_mode(self.rounding_mode)
        object.__setattr__(self, "rounding_mode", mode)
        check_choice("a grid of the weights", self.grid, _GRIDS)

    @property
    def in_float(self) -> bool:
        """Whether weights and activations are both in float."""
        return self.weight_bits is None and self.activation_bits is None

    @classmethod
    def parse(cls, text):
        """Returns the point that `text` writes; a point is returned as is."""
        if isinstance(text, cls):
            return text
        plain = _LETTERS.sub(r"\1/\2", str(text).strip())
        match = _PATTERN.fullmatch(plain)
        if match is None:
            raise ValueError(
                "Expected an operating point '<weight bits>/<activation "
                "bits>', such as '4/8', '4/FP', '4/4 x1.02', '4/4 x1/1.1', "
                "'3/FP pow2', '4/FP floor', '4/FP stochastic:3' or "
                f"'4/8 full'. Received: {text!r}."
            )
        rounding = {"pow2": "nearest", "pow2-up": "up"}.get(
            (match["rounding"] or "").lower()
        )
        try:
            scale = float(match["scale"] or 1.0)
            activation_scale = float(match["activation_scale"] or 1.0)
        except ValueError:
            raise ValueError(
                "Expected a step scale after 'x', such as 'x1.02'. "
                f"Received: {text!r}."
            ) from None
        return cls(
            _bits_or_none(match["weights"]),
            _bits_or_none(match["activations"]),
            step_scale=scale,
            step_rounding=rounding,
            activation_step_scale=activation_scale,
            rounding_mode=(match["mode"] or "nearest").lower(),
            grid=(match["grid"] or "narrow").lower(),
        )

    def __str__(self):
        parts = [f"{self.weight_bits or 'FP'}/{self.activation_bits or 'FP'}"]
        scales = [_shortest(self.step_scale)]
        if self.activation_step_scale != 1.0:
            scales.append(_shortest(self.activation_step_scale))
        if scales != ["1"]:
            parts.append(f"x{'/'.join(scales)}")
        if self.step_rounding:
            parts.append(_ROUNDINGS[self.step_rounding])
        if self.rounding_mode != "nearest":
            parts.append(self.rounding_mode.replace("_", "-"))
        if self.grid != "narrow":
            parts.append(self.grid)
        return " ".join(parts)


def check_bits(bits, name="bits"):
    """Returns `bits` as an int, or raises what is wrong with it."""
    whole = isinstance(bits, numbers.Integral) and not isinstance(bits, bool)
    if not whole or not MIN_BITS <= bits <= MAX_BITS:
        raise ValueError(
            f"Expected {name} to be an integer in 2..{MAX_BITS}, 1 on a grid "
            f"without zero, or None ('FP') for float. Received: {bits!r}."
        )
    return int(bits)


def check_rounding_mode(mode):
    """Returns a rounding mode in its full form, or raises what is wrong.

    "half-up" is read as "half_up", "stochastic" as "stochastic:0".
    """
    text = mode.replace("-", "_") if isinstance(mode, str) else ""
    seed = text.partition(":")[2]
    if not _MODE.fullmatch(text) or int(seed or 0) > MAX_SEED:
        raise ValueError(
            "Expected a rounding mode, one of 'nearest', 'half_up', 'floor' "
            f"or 'stochastic:<seed>' with a seed in 0..{MAX_SEED}. "
            f"Received: {mode!r}."
        )
    if text.startswith("stochastic"):
        return f"stochastic:{int(seed or 0)}"
    return text


def _checked_scale(scale):
    number = isinstance(scale, numbers.Real)
    if not (number and 1 / _MAX_SCALE <= scale <= _MAX_SCALE):
        raise ValueError(
            "Expected a positive, finite step scale, such as 1.02, from "
            f"{1 / _MAX_SCALE:g} to {_MAX_SCALE:g}. Received: {scale!r}."
        )
    return float(scale)


def _shortest(number):
    """Returns the shortest text that `float` reads as `number`."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


def parse_bits(text):
    """Returns the bit-width that `text` writes, None for "FP"."""
    bits = _bits_or_none(str(text).strip())
    return None if bits is None else check_bits(bits)


def _bits_or_none(text):
    if text.upper() == "FP":
        return None
    return int(text) if text.isdecimal() else text
