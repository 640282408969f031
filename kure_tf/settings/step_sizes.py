"""Step sizes as data: what a PTQ method returns, and `step_sizes.json`."""

import dataclasses

import numpy as np

from kure_tf.files import (
    existing,
    jsonable,
    parse_json,
    unsealed,
    write_json,
)
from kure_tf.settings.operating_point import check_bits

_FORMAT = "kure_tf step sizes 1"


@dataclasses.dataclass(frozen=True, eq=False)  # It holds an array.
class TensorStep:
    """The step size of one tensor.

    Attributes:
        step_size: Positive array: a scalar, or of a shape that broadcasts
            against the tensor; in the unit of the tensor.
        bits: Bit-width that the step size is meant for.
        origin: Smallest value that calibration saw, at most 0.
    """

    step_size: np.ndarray
    bits: int
    origin: float = 0.0

    def __post_init__(self):
        given = np.asarray(self.step_size)
        if given.dtype.kind not in "iuf":
            raise TypeError(
                f"Expected step sizes in numbers. Received: {self.step_size!r}."
            )
        with np.errstate(over="ignore"):  # What overflows is refused.
            step_size = given.astype(np.float32)
        good = np.isfinite(step_size) & (step_size > 0)
        if not (step_size.size and np.all(good)):
            raise ValueError(
                "Expected step sizes that are positive and finite in float32. "
                f"Received: {self.step_size!r}."
            )
        if not np.isfinite(self.origin):
            raise ValueError(
                "Expected a finite origin: the smallest value of the tensor. "
                f"Received: {self.origin!r}."
            )
        object.__setattr__(self, "step_size", step_size)
        object.__setattr__(self, "bits", check_bits(self.bits))
        object.__setattr__(self, "origin", min(float(self.origin), 0.0))


@dataclasses.dataclass(frozen=True)
class StepSizes:
    """Step sizes of a model's tensors, with where they come from.

    Attributes:
        tensors: `{tensor path: TensorStep}`; a path is "layer/kernel" or
            "layer/input", models nested in others in front.
        provenance: Method, its options, calibration images and seed.
    """

    tensors: dict
    provenance: dict = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict:
        """Returns them as dictionaries, numbers and arrays."""
        return {
            "provenance": self.provenance,
            "tensors": {
                name: dataclasses.asdict(step)
                for name, step in self.tensors.items()
            },
        }

    @classmethod
    def from_dict(cls, content) -> "StepSizes":
        """Returns what `to_dict` gave, or a user's `{tensor path: ...}`."""
        steps = {
            name: TensorStep(
                np.array(step["step_size"], np.float32),
                step["bits"],
                step.get("origin", 0.0),
            )
            for name, step in content.get("tensors", content).items()
        }
        return cls(steps, content.get("provenance", {}))

    def save(self, path):
        """Writes `step_sizes.json`: the old file or the new one, never half."""
        write_json(path, jsonable({"format": _FORMAT, **self.to_dict()}))

    @classmethod
    def load(cls, path):
        """Reads what `save` wrote, or a user's `{tensor path: step size}`.

        The short form needs bits beside it: `{"conv1/kernel": {"step_size":
        0.1, "bits": 8}}`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file holds something else.
        """
        path = existing(path, "a file of step sizes")
        try:
            found = cls.from_dict(_checked(parse_json(path.read_text())))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                "Expected a file of step sizes: {'tensors': {'conv1/kernel': "
                "{'step_size': 0.1, 'bits': 8}, ...}}. Cannot read "
                f"{str(path)!r}: {error}"
            ) from error
        return found


def _checked(content):
    content = unsealed(content, "the file")
    written = content.get("format", _FORMAT)
    if written != _FORMAT:
        raise ValueError(f"its format is {written!r}, not {_FORMAT!r}")
    if not content.get("tensors", content):
        raise ValueError("it names no tensor")
    if not isinstance(content.get("provenance", {}), dict):
        raise ValueError("its provenance is no object")
    return content
