"""What was measured: a `Row` is one value, a `Run` is one model's rows."""

import dataclasses
import math

from kure_tf.files import jsonable
from kure_tf.settings.operating_point import OperatingPoint

_KINDS = {
    str: "text",
    int: "an integer",
    float: "a finite number",
    bool: "a bool",
    dict: "a dictionary",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One model, evaluated once at one operating point.

    Attributes:
        run: Name of the run that it belongs to, such as "KURE".
        point: The `OperatingPoint`; of a single `layer` the layer's.
        layer: Path of the layer that alone stood at the point; None: all did.
        others: The `OperatingPoint` of all other layers; None: they were in
            float, or there is no such `layer`.
        calibration_seed: Seed of the draw of calibration examples; None: the
            data set's own.
        ptq: Where the step sizes came from, such as "lp_norm p=2"; None in
            float.
        placement: Name of the `Placement`, such as "paper" or "tflite"; "qat"
            of a model that kept its own, "reference" for the grid of the
            paper's code, or the name of a device profile.
        reestimated_batch_norm: Whether batch-norm statistics were measured
            again on the quantized weights.
        metric: What was measured, such as "accuracy", which is the top-1
            accuracy, 0..1, or "mean_absolute_error".
        value: Its value, finite, in the metric's own unit.
        higher_is_better: Whether a larger value is the better one.
        standard_error: That of `value`, in the same unit; None if not known.
            If not given, that of an accuracy a is sqrt(a (1 - a) / examples).
        examples: How many examples were evaluated.
        split: Which split they came from, such as "test".
        seconds: Time of the evaluation; None if not measured.
        sweep: "bit_width", "step_size", "tflite" or a name of your own.
        details: Whatever else is known, as plain values: metrics measured
            beside this one by their names, such as "loss". For a "tflite" row
            pages show `mode` (text), `file_size` (bytes), `agreement` (share
            of examples with the same answer, 0..1), `accuracy_drop`
            (Keras model minus file, as a fraction) or `loss_rise`, `codes` and
            `differing_codes` (output codes compared, and those that were not
            as foretold) and `latency_ms`.

    Raises:
        TypeError: If a value is of the wrong kind.
        ValueError: If a value is outside what is allowed.
    """

    run: str
    point: OperatingPoint
    layer: str | None = None
    others: OperatingPoint | None = None
    calibration_seed: int | None = None
    ptq: str | None = None
    placement: str | None = None
    reestimated_batch_norm: bool = False
    metric: str = "accuracy"
    value: float
    higher_is_better: bool = True
    standard_error: float | None = None
    examples: int
    split: str = "test"
    seconds: float | None = None
    sweep: str = "bit_width"
    details: dict = dataclasses.field(default_factory=dict, hash=False)

    def __post_init__(self):
        _check_texts(self, "run", "metric", "split", "sweep")
        _check_texts(self, "ptq", "placement", "layer", optional=True)
        _check_points(self)
        _check(self, "examples", int, " of at least 1", lambda n: n >= 1)
        if self.calibration_seed is not None:
            at_least_0 = (" of at least 0", lambda seed: seed >= 0)
            _check(self, "calibration_seed", int, *at_least_0)
        for name in ("reestimated_batch_norm", "higher_is_better"):
            _check(self, name, bool)
        _check(self, "value", float)
        if self.metric == "accuracy":
            _check(self, "value", float, " in 0..1", lambda a: 0 <= a <= 1)
            if self.standard_error is None:
                error = math.sqrt(self.value * (1 - self.value) / self.examples)
                _set(self, "standard_error", error)
        for name in ("standard_error", "seconds"):
            _check(self, name, float, " or None", optional=True)
        _check(self, "details", dict)


@dataclasses.dataclass(frozen=True)
class Run:
    """One trained model: where it comes from and what was measured on it.

    Attributes:
        name: Such as "KURE". Several runs may share a name if their
            `provenance["seed"]` differs: tables then show the mean and the
            standard deviation over the seeds.
        rows: The measurements; each row's `run` is `name`.
        provenance: Everything needed to repeat them: model, checkpoint hash,
            data set, split, count of examples, placement, PTQ method, size and
            seed of the calibration, "seed" (of the training), "versions" and
            "flags".
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
        _check_texts(self, "name")
        _set(self, "rows", tuple(self.rows))
        for row in self.rows:
            _check_row(row, self.name)
        for name in ("provenance", "kurtosis", "histograms"):
            _check(self, name, dict)
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
        and _is_finite(values.get("after"))
        and (values.get("before") is None or _is_finite(values["before"]))
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
        and all(_is_finite(x) for part in values.values() for x in part)
        and len(values["edges"]) == len(values["counts"]) + 1
        and len(values["counts"]) > 0
    )
    if not valid:
        raise ValueError(
            f"Expected the histogram of layer {layer!r} as {{'edges': n + 1 "
            f"numbers, 'counts': n numbers}}. Received: {str(values)[:80]}."
        )


def _is_finite(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_points(row):
    for name in ("point", "others"):
        value = getattr(row, name)
        if value is None and name == "others":
            continue
        if not isinstance(value, OperatingPoint):
            allowed = "an OperatingPoint, such as OperatingPoint.parse('4/FP')"
            raise _wrong(row, name, allowed, TypeError)
    if row.others is not None and row.layer is None:
        raise _wrong(row, "others", "None where no single layer is named")


def _check_texts(instance, *names, optional=False):
    for name in names:
        filled = (" that is not empty", str.strip)
        _check(instance, name, str, *filled, optional=optional)


def _check(instance, name, kind, which="", holds=None, optional=False):
    """Makes a field a plain value, or raises what is wrong with it.

    An integer may stand for a float. `which` is what else an error says of
    the kind, `holds` whether a value is one of those. What is optional may be
    None, as a number that is not finite is, since JSON does not know it.
    """
    value = getattr(instance, name)
    plain = jsonable(value, name)
    if kind is float and _is_finite(plain):
        plain = float(plain)
    if not (optional and plain is None):
        if type(plain) is not kind:
            lost = plain is None and value is not None
            error = ValueError if lost else TypeError
            raise _wrong(instance, name, _KINDS[kind] + which, error)
        if holds is not None and not holds(plain):
            raise _wrong(instance, name, _KINDS[kind] + which)
    _set(instance, name, plain)


def _set(instance, name, value):
    object.__setattr__(instance, name, value)


def _wrong(instance, name, expected, kind=ValueError):
    return kind(
        f"Expected {name} of a {type(instance).__name__} to be {expected}. "
        f"Received: {getattr(instance, name)!r}."
    )
