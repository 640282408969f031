"""Settings: all that puts a model at an operating point, in one value."""

import dataclasses

from kure_tf.settings.array_file import digest_of, read_arrays, write_arrays
from kure_tf.settings.batch_norm import BatchNormStatistics
from kure_tf.settings.bias_correction import BiasCorrection
from kure_tf.settings.operating_point import OperatingPoint
from kure_tf.settings.rounded_weights import RoundedWeights
from kure_tf.settings.step_sizes import StepSizes

_FORMAT = "kure_tf setting 1"


@dataclasses.dataclass(frozen=True, eq=False)  # It holds arrays.
class Setting:
    """All that puts a fake-quantized model at an operating point.

    `fake_quantized.apply(model, setting)` writes it into a model. What is None
    stays as it is in the model.

    Attributes:
        point: The `OperatingPoint`, or its text.
        step_sizes: `StepSizes` of the model's tensors; without them each keeps
            its clipping range.
        rounded_weights: `RoundedWeights`; their steps win over `step_sizes`.
        batch_norm: `{layer path: BatchNormStatistics}`.
        bias_correction: `BiasCorrection`, added to the biases in force.
        layer: Path of the one layer that stands at the point; None: all do.
        others: The `OperatingPoint` of the other layers, or its text; None:
            they are in float, or there is no such `layer`.
        provenance: Where it comes from: methods, options, images, as plain
            values. Rows of a sweep carry its numbers.

    Raises:
        TypeError: If a value is of the wrong kind.
        ValueError: If a text writes no operating point, or `others` are given
            without a `layer`.

    Example:
        >>> setting = Setting("3/8", step_sizes=StepSizes({}))
        >>> setting.save("w3a8.npz")
        >>> str(Setting.load("w3a8.npz").point)
        '3/8'
    """

    point: OperatingPoint
    _: dataclasses.KW_ONLY
    step_sizes: StepSizes | None = None
    rounded_weights: RoundedWeights | None = None
    batch_norm: dict | None = None
    bias_correction: BiasCorrection | None = None
    layer: str | None = None
    others: OperatingPoint | None = None
    provenance: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "point", OperatingPoint.parse(self.point))
        others = self.others
        others = None if others is None else OperatingPoint.parse(others)
        if others is not None and self.layer is None:
            raise ValueError(
                "Expected `others`, the point of the other layers, only beside "
                f"the path of one `layer`. Received: others='{others}' and "
                "layer=None."
            )
        others = None if others is None or others.in_float else others
        object.__setattr__(self, "others", others)
        for name, kind in _KINDS.items():
            _check_kind(name, getattr(self, name), kind)
        for found in (self.batch_norm or {}).values():
            _check_kind("batch_norm", found, BatchNormStatistics)

    @property
    def in_float(self) -> bool:
        """Whether all layers are in float."""
        return self.point.in_float and self.others is None

    def save(self, path):
        """Writes one file, an .npz: the old one or the new one, never half."""
        write_arrays(path, _FORMAT, self._content())

    def digest(self) -> str:
        """Returns the SHA-256 of all that is in it, values of arrays too."""
        return digest_of(_FORMAT, self._content())

    def _content(self):
        return {
            "point": str(self.point),
            "layer": self.layer,
            "others": None if self.others is None else str(self.others),
            "provenance": self.provenance,
            **{name: _packed(getattr(self, name)) for name in _VALUES},
        }

    @classmethod
    def load(cls, path) -> "Setting":
        """Reads what `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is of another kind, truncated, or changed since.
        """
        content = read_arrays(path, _FORMAT)
        try:
            for name, unpack in _VALUES.items():
                if content[name] is not None:
                    content[name] = unpack(content[name])
            return cls(**content)
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise ValueError(
                f"Expected a setting at {str(path)!r}. What is written there "
                f"does not make one: {error!r}."
            ) from error


_KINDS = {
    "step_sizes": StepSizes,
    "rounded_weights": RoundedWeights,
    "batch_norm": dict,
    "bias_correction": BiasCorrection,
    "layer": str,
}


def _packed(value):
    """Returns a value as dictionaries and arrays."""
    if isinstance(value, StepSizes):
        return value.to_dict()
    if isinstance(value, dict):
        return {name: _packed(item) for name, item in value.items()}
    if dataclasses.is_dataclass(value):
        return _packed(
            {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        )
    return value


def _rounded_weights(content):
    step_sizes = StepSizes.from_dict(content.pop("step_sizes"))
    return RoundedWeights(step_sizes=step_sizes, **content)


def _batch_norm(content):
    return {
        path: BatchNormStatistics(**found) for path, found in content.items()
    }


def _bias_correction(content):
    return BiasCorrection(content["shifts"], tuple(content["skipped"]))


_VALUES = {
    "step_sizes": StepSizes.from_dict,
    "rounded_weights": _rounded_weights,
    "batch_norm": _batch_norm,
    "bias_correction": _bias_correction,
}


def _check_kind(name, value, kind):
    if value is not None and not isinstance(value, kind):
        raise TypeError(
            f"Expected {name} of a Setting to be a {kind.__name__} or None. "
            f"Received: {type(value).__name__}."
        )
