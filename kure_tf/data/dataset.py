"""A data set: its splits and what a model and a report must know of them."""

import dataclasses

import tensorflow as tf

from kure_tf.data.inputs import is_scaled
from kure_tf.data.labels import check_label_range
from kure_tf.data.split import Split, calibration_draw, check_size


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A data set: inputs of any kind, with class numbers or targets.

    Attributes:
        name: Such as "digits" or "cifar10".
        num_classes: Labels are 0 .. num_classes - 1; None where they are
            targets in floating point.
        input_shape: The shape of every example: of images (height, width,
            channels); of several inputs a dictionary or tuple of shapes.
        train: Examples to train on.
        validation: Examples to choose epochs and hyper-parameters on, disjoint
            from the others; None if there are none.
        calibration: Examples to calibrate on, drawn from `train`. Never from
            `test`, which is only ever evaluated.
        test: Examples to evaluate on.
        notes: Sentences that a report about this data set must carry.

    The splits are `Split`s, or objects with the same methods.

    Raises:
        ValueError: If the inputs of the splits differ in shape or kind, or a
            label lies outside the classes.
    """

    name: str
    num_classes: int | None
    input_shape: tuple | dict
    train: Split
    validation: Split | None
    calibration: Split
    test: Split
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        for split in self.splits():
            if split.input_shape != _as_tuple(self.input_shape):
                raise ValueError(
                    f"Expected inputs of shape {_shown(self.input_shape)} in "
                    f"all splits of {self.name!r}. Split {split.name!r} has "
                    f"inputs of shape {_shown(split.input_shape)}."
                )
            _check_classes(split, self.num_classes)
            _check_label_shape(split, self.train)
        self._check_kind()

    def _check_kind(self):
        inputs = [
            tf.nest.flatten(split.inputs)
            for split in self.splits()
            if isinstance(split, Split)
        ]
        for same in zip(*inputs, strict=True):
            if len({is_scaled(one) for one in same}) > 1:
                dtypes = sorted({str(one.dtype) for one in same})
                raise ValueError(
                    "Expected integers in all splits, or images or floating "
                    f"point in all of them. Those of {self.name!r} hold "
                    f"{dtypes}."
                )

    def splits(self) -> tuple[Split, ...]:
        """Returns the splits that there are."""
        splits = (self.train, self.validation, self.calibration, self.test)
        return tuple(split for split in splits if split is not None)


def from_arrays(
    train,
    test,
    *,
    validation=None,
    num_classes=None,
    calibration_count=512,
    calibration_seed=0,
    name="arrays",
    white=None,
    mean=None,
    std=None,
    notes=(),
) -> Dataset:
    """Returns a data set of arrays in memory.

    Args:
        train: Pair of inputs `[count, ...]`, one or several, and labels, which
            are integers `[count]` for classes (`[count, ...]`: of each
            position) or floating point for targets; `Split` says more of both.
        test: The same.
        validation: The same, or None.
        num_classes: Number of classes; if None, the largest label of `train`
            plus one. Targets have none.
        calibration_count: Examples drawn from `train` for calibration, all of
            them if there are fewer.
        calibration_seed: Seed of that draw.
        name: Name of the data set, for reports.
        white: Raw value that becomes 1; if None, 255 where `train` holds
            images of uint8, else 1.
        mean: Per channel, subtracted after the division by `white`.
        std: Per channel, divided by at the end.
        notes: Sentences for reports.

    Raises:
        TypeError: If what is given is no pair or no number.
        ValueError: If shapes do not fit, a split is empty, a value is not
            finite, or a label lies outside the classes.
    """
    _check_pairs(train=train, test=test, validation=validation)
    if num_classes is not None:
        check_size("num_classes", num_classes)
    training = Split("train", *train, white=white, mean=mean, std=std)

    def split(split_name, pair):
        # One white for all: images may be uint8 here and floats there.
        return Split(
            split_name, *pair, white=training.white, mean=mean, std=std
        )

    if validation is not None:
        validation = split("validation", validation)
    return Dataset(
        name=name,
        num_classes=num_classes or _classes_of(training),
        input_shape=training.input_shape,
        train=training,
        validation=validation,
        calibration=calibration_draw(
            training, calibration_count, calibration_seed
        ),
        test=split("test", test),
        notes=tuple(notes),
    )


def _classes_of(split):
    return int(split.labels.max()) + 1 if split.holds_classes else None


def _as_tuple(shape):
    return tuple(shape) if isinstance(shape, list) else shape


def _shown(shape):
    return shape if isinstance(shape, dict) else list(shape)


def _check_label_shape(split, train):
    if split.label_shape != train.label_shape:
        raise ValueError(
            f"Expected labels of shape {list(train.label_shape)} for each "
            f"example, as in {train.name!r}. Split {split.name!r} has labels "
            f"of shape {list(split.label_shape)}."
        )


def _check_classes(split, num_classes):
    if split.holds_classes != (num_classes is not None):
        kind = "class numbers" if split.holds_classes else "targets"
        raise ValueError(
            "Expected integers as labels of all splits and num_classes, or "
            f"floating-point targets in all and none. Split {split.name!r} "
            f"holds {kind}; num_classes is {num_classes}."
        )
    if isinstance(split, Split) and split.holds_classes:
        check_label_range(split.name, split.labels, num_classes)


def _check_pairs(**pairs):
    for name, pair in pairs.items():
        if name == "validation" and pair is None:
            continue
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(
                f"Expected {name} as a pair of arrays, inputs and labels. "
                f"Received: {type(pair).__name__}."
            )
