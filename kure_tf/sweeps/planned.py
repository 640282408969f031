"""Points of a plan, as text: `[placement] [method] [kind]: pattern`."""

import dataclasses
import re

from kure_tf.fake_quantized.placement import PLACEMENTS
from kure_tf.settings import OperatingPoint, points
from kure_tf.sweeps.kinds import (
    CALIBRATION_SEED,
    CLIPPING,
    SENSITIVITY,
    kind_of,
)

PRESETS = {
    "bits": ("{8..2}/FP", "{8..3}"),
    "steps": ("{4,3}/FP x{0.7:1.3:0.05}",),
    "pow2": ("{4,3}/FP {pow2,pow2-up}",),
    "rounding": ("4/FP {half-up,floor,stochastic:0}",),
    "sensitivity": ("sensitivity: {4,3}/FP",),
}
"""Patterns by name."""

# What the points themselves do not say.
_KINDS = (CALIBRATION_SEED, CLIPPING, SENSITIVITY)
_HEAD = re.compile(r"(?!FP\b)(?P<head>[A-Za-z][^/{:]*):(?P<rest>.*)", re.I)


@dataclasses.dataclass(frozen=True)
class Planned:
    """Points that one PTQ method goes through, and what they are measured for.

    Attributes:
        points: `OperatingPoint`s.
        kind: What the rows' `sweep` says. "sensitivity": each layer stands at
            the points alone; where their step ratio is not 1, its step is off
            and the others stand there too. "clipping": a step ratio is that of
            the clip to the largest absolute weight, since "minmax" puts it
            there. "calibration_seed": once for each other draw of calibration
            images. Otherwise what varies (`kind_of`).
        method: Name of the PTQ method; None: the plan's own.
        placement: The only placement that they are for; None: any.
    """

    points: tuple[OperatingPoint, ...]
    kind: str
    method: str | None = None
    placement: str | None = None


def planned(text) -> list[Planned]:
    """Returns what one text of a plan stands for.

        {8..2}/FP                        the plan's own PTQ method
        minmax: {8..2}/FP                another one
        lp_norm + adaround: {4..2}/FP    with learned rounding
        paper: steps                     for one placement only
        clipping: 4/FP x{0.5:1:0.1}      ratios of the clip to max |w|
        sensitivity: 3/FP x{1,0.8}       one layer at a time
        calibration_seed: 4/4            for each draw of calibration images

    Args:
        text: `[placement] [PTQ method] [kind of sweep]: pattern`, where the
            pattern may be the name of a preset; or an `OperatingPoint`.

    Raises:
        TypeError, ValueError: As `points`.
    """
    head, rest = None, text
    if isinstance(text, str):
        match = _HEAD.fullmatch(text.strip())
        if match:
            head, rest = match["head"], match["rest"].strip()
    placement, method, kind = _head(head or "")
    if rest in PRESETS:
        found = [one for text in PRESETS[rest] for one in planned(text)]
    else:
        written = points(rest)
        found = [Planned(tuple(written), kind_of(written))]
    return [
        dataclasses.replace(
            one,
            kind=kind or one.kind,
            method=method or one.method,
            placement=placement or one.placement,
        )
        for one in found
    ]


def _head(text):
    """Returns (placement, method, kind), each of them None if not named."""
    words = text.split()
    placement = words.pop(0) if words and words[0] in PLACEMENTS else None
    kind = words.pop() if words and words[-1] in _KINDS else None
    method = " ".join(words) or None
    if kind == CLIPPING and method is None:
        method = "minmax"
    return placement, method, kind
