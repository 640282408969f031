"""What was measured: a `Row` is one accuracy, a `Run` is one model's rows."""

import dataclasses
import math
import numbers
import re

from kure_tf.files import jsonable

_KEY = (
    "run",
    "sweep",
    "point",
    "weight_bits",
    "activation_bits",
    "step_scale",
    "activation_step_scale",
    "step_rounding",
    "rounding_mode",
    "layer",
    "others",
    "calibration_seed",
    "ptq",
    "scheme",
    "reestimated_batch_norm",
    "images",
    "split",
)


_ROUNDING_MODE = re.compile(r"nearest|half_up|floor|stochastic:[0-9]+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One model, evaluated once at one operating point.

    Attributes:
        run: Name of the run that it belongs to, such as "KURE".
        point: The operating point as text, such as "4/FP x1.05 pow2".
        weight_bits: Bit-width of the weights; None is float ("FP").
        activation_bits: Likewise for the activations.
        step_scale: Ratio of the step size used to the calibrated one, for
            weights.
        activation_step_scale: Likewise for activations.
        step_rounding: How step sizes were rounded to powers of two: None (not
            at all), "nearest" or "up".
        rounding_mode: How values were rounded: "nearest", "half_up", "floor"
            or "stochastic:<seed>".
        layer: Path of the layer that alone stood at the point; None: all did.
        others: The operating point of all other layers as text, such as
            "8/FP"; None: they were in float, or there is no such `layer`.
        calibration_seed: Seed of the draw of calibration images; None: the
            data set's own.
        ptq: Where the step sizes came from, such as "lp_norm p=2"; None in
            float.
        scheme: Quantization scheme, "paper" or "tflite".
        reestimated_batch_norm: Whether batch-norm statistics were measured
            again on the quantized weights.
        accuracy: Top-1 accuracy, 0..1.
        loss: Mean loss; None if not measured or not finite.
        images: How many images were evaluated.
        split: Which split they came from, such as "test".
        seconds: Time of the evaluation; None if not measured.
        sweep: "bit_width", "step_size", "tflite" or a name of your own.
        details: Whatever else is known, as plain values. For a "tflite" row
            the reports show `mode` (text), `file_size` (bytes), `agreement`
            (share of images with the same top-1 class, 0..1) and
            `accuracy_drop` (Keras model minus file, as a fraction).

    Raises:
        TypeError: If a value is of the wrong kind.
        ValueError: If a value is outside what is allowed.
    """

    run: str
    point: str
    weight_bits: int | None = None
    activation_bits: int | None = None
    step_scale: float = 1.0
    activation_step_scale: float = 1.0
    step_rounding: str | None = None
    rounding_mode: str = "nearest"
    layer: str | None = None
    others: str | None = None
    calibration_seed: int | None = None
    ptq: str | None = None
    scheme: str | None = None
    reestimated_batch_norm: bool = False
    accuracy: float
    loss: float | None = None
    images: int
    split: str = "test"
    seconds: float | None = None
    sweep: str = "bit_width"
    details: dict = dataclasses.field(default_factory=dict, hash=False)

    def __post_init__(self):
        for name in ("run", "point", "split", "sweep", "rounding_mode"):
            _set(self, name, _text(self, name))
        if not _ROUNDING_MODE.fullmatch(self.rounding_mode):
            raise _wrong(
                self,
                "rounding_mode",
                "'nearest', 'half_up', 'floor' or 'stochastic:<seed>', such "
                "as 'stochastic:0'",
            )
        for name in ("ptq", "scheme", "layer", "others"):
            if getattr(self, name) is not None:
                _set(self, name, _text(self, name))
        for name in ("weight_bits", "activation_bits"):
            if getattr(self, name) is not None:
                _set(self, name, _whole(self, name))
        if self.others is not None and self.layer is None:
            raise _wrong(self, "others", "None where no single layer is named")
        _set(self, "images", _whole(self, "images"))
        _set(self, "accuracy", _number(self, "accuracy", 0, 1))
        for name in ("step_scale", "activation_step_scale"):
            _set(self, name, _number(self, name, 0, math.inf))
        if self.calibration_seed is not None:
            seed = _whole(self, "calibration_seed", low=0)
            _set(self, "calibration_seed", seed)
        for name in ("loss", "seconds"):
            _set(self, name, _number_or_none(self, name))
        flag = jsonable(self.reestimated_batch_norm)
        if not isinstance(flag, bool):
            raise _wrong(self, "reestimated_batch_norm", "a bool", TypeError)
        _set(self, "reestimated_batch_norm", flag)
        if self.step_rounding not in (None, "nearest", "up"):
            raise _wrong(self, "step_rounding", "None, 'nearest' or 'up'")
        _set(self, "details", _dictionary(self, "details"))

    @property
    def key(self) -> tuple:
        """What was measured, without the result: equal keys, same work."""
        return tuple(getattr(self, name) for name in _KEY)

    @property
    def standard_error(self) -> float:
        """Standard error of `accuracy`: sqrt(a (1 - a) / n), n images."""
        return math.sqrt(self.accuracy * (1 - self.accuracy) / self.images)


@dataclasses.dataclass(frozen=True)
class Run:
    """One trained model: where it comes from and what was measured on it.

    Attributes:
        name: Such as "KURE". Several runs may share a name if their
            `provenance["seed"]` differs: tables then show the mean and the
            standard deviation over the seeds.
        rows: The measurements; each row's `run` is `name`.
        provenance: Everything needed to repeat them: model, checkpoint hash,
            data set, split, image count, scheme, PTQ method, calibration size
            and seed, "seed" (of the training), "versions", "flags".
        kurtosis: Layer name to `{"before": float or None, "after": float,
            "regularized": bool}`, in the order of the layers.
        histograms: Layer name to `{"edges": n + 1 values, "counts": n}`.
        history: One dictionary per epoch of training.

    Raises:
        TypeError: If a value is of the wrong kind.
        ValueError: If a value is outside what is allowed.
    """

    name: str
    rows: tuple[Row, ...] = ()
    _: dataclasses.KW_ONLY
    provenance: dict = dataclasses.field(default_factory=dict, hash=False)
    kurtosis: dict = dataclasses.field(default_factory=dict, hash=False)
    histograms: dict = dataclasses.field(default_factory=dict, hash=False)
    history: tuple[dict, ...] = dataclasses.field(default=(), hash=False)

    def __post_init__(self):
        _set(self, "name", _text(self, "name"))
        _set(self, "rows", tuple(self.rows))
        for row in self.rows:
            _check_row(row, self.name)
        for name in ("provenance", "kurtosis", "histograms"):
            _set(self, name, _dictionary(self, name))
        for layer, values in self.kurtosis.items():
            _check_kurtosis(layer, values)
        for layer, values in self.histograms.items():
            _check_histogram(layer, values)
        _set(self, "history", tuple(jsonable(list(self.history), "history")))

    @property
    def seed(self):
        """The seed of the training, or None."""
        return self.provenance.get("seed")

    def renamed(self, name) -> "Run":
        """Returns this run, and its rows, under another name."""
        rows = tuple(dataclasses.replace(row, run=name) for row in self.rows)
        return dataclasses.replace(self, name=name, rows=rows)


def _check_row(row, name):
    if not isinstance(row, Row):
        raise TypeError(
            f"Expected the rows of run {name!r} to be Row. "
            f"Received: {type(row).__name__}."
        )
    if row.run != name:
        raise ValueError(
            f"Expected the rows of run {name!r} to carry its name. Received a "
            f"row of {row.run!r}. `Run.renamed` renames a run with its rows."
        )


def _check_kurtosis(layer, values):
    valid = (
        isinstance(values, dict)
        and set(values) <= {"before", "after", "regularized"}
        and isinstance(values.get("regularized", False), bool)
        and _is_number(values.get("after"))
        and (values.get("before") is None or _is_number(values["before"]))
    )
    if not valid:
        raise ValueError(
            f"Expected the kurtosis of layer {layer!r} as {{'before': number "
            "or None, 'after': number, 'regularized': bool}. "
            f"Received: {values!r}."
        )


def _check_histogram(layer, values):
    valid = (
        isinstance(values, dict)
        and set(values) == {"edges", "counts"}
        and all(isinstance(part, list) for part in values.values())
        and all(_is_number(x) for part in values.values() for x in part)
        and len(values["edges"]) == len(values["counts"]) + 1
        and len(values["counts"]) > 0
    )
    if not valid:
        raise ValueError(
            f"Expected the histogram of layer {layer!r} as {{'edges': n + 1 "
            f"numbers, 'counts': n numbers}}. Received: {str(values)[:80]}."
        )


def _set(instance, name, value):
    object.__setattr__(instance, name, value)


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _text(instance, name):
    value = getattr(instance, name)
    if not isinstance(value, str):
        raise _wrong(instance, name, "text", TypeError)
    if not value.strip():
        raise _wrong(instance, name, "text that is not empty")
    return value


def _whole(instance, name, low=1):
    value = getattr(instance, name)
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise _wrong(instance, name, "an integer", TypeError)
    if value < low:
        raise _wrong(instance, name, f"at least {low}")
    return int(value)


def _number(instance, name, low, high):
    value = getattr(instance, name)
    if not _is_number(value):
        raise _wrong(instance, name, "a number", TypeError)
    if not (math.isfinite(value) and low <= value <= high):
        raise _wrong(instance, name, f"finite and in {low:g}..{high:g}")
    return float(value)


def _number_or_none(instance, name):
    value = getattr(instance, name)
    if value is not None and not _is_number(value):
        raise _wrong(instance, name, "a number or None", TypeError)
    return None if value is None else jsonable(float(value))


def _dictionary(instance, name):
    value = getattr(instance, name)
    if not isinstance(value, dict):
        raise _wrong(instance, name, "a dictionary", TypeError)
    return jsonable(value, name)


def _wrong(instance, name, expected, kind=ValueError):
    return kind(
        f"Expected {name} of a {type(instance).__name__} to be {expected}. "
        f"Received: {getattr(instance, name)!r}."
    )
