"""Image-classification data sets in the format of TensorFlow Datasets."""

import contextlib
import dataclasses
import re

import numpy as np
import tensorflow as tf
from google.protobuf.json_format import ParseError

from kure_tf.data.dataset import Dataset
from kure_tf.data.quiet_tfds import quiet_tfds
from kure_tf.data.split import Split, calibration_draw, check_size
from kure_tf.data.streamed_split import StreamedSplit, resize_and_cut_centre
from kure_tf.progress import ProgressBar

# Of the original images, per channel; what published weights were trained with.
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_MEAN_AND_STD = {
    "cifar10": _IMAGENET,
    "cifar10_jpeg": _IMAGENET,
    "imagenet2012": _IMAGENET,
}
_VALIDATION_SEED = 0
# As TFDS writes them: name, configuration, version, arguments.
_NAME = re.compile(r"\w+(/[^:]+)?(:[\w.*]+)?(/.+)?")


def tfds_dataset(
    name,
    *,
    data_dir=None,
    download=False,
    validation_count=0,
    calibration_count=512,
    calibration_seed=0,
    image_size=None,
    mean=None,
    std=None,
    memory_limit=2_000_000_000,
) -> Dataset:
    """Returns any image-classification data set that TFDS has on disk.

    Images are held in memory as uint8 if they have one size and are small
    enough, and read from disk in every epoch otherwise.

    The test split is "test", or "validation" if there is no "test" or its
    labels are withheld. The validation split is drawn from "train" if
    `validation_count` says so, else "validation" if that is not used for
    testing, else there is none.

    Args:
        name: TFDS name, such as "cifar10" or "mnist:3.0.1".
        data_dir: Folder of TFDS data sets; `~/tensorflow_datasets` if None.
        download: Whether TFDS may download and prepare what is not there.
        validation_count: Images taken out of "train" for validation: drawn
            with a fixed seed, or the last ones if images are read from disk.
        calibration_count: Images drawn from the training split for
            calibration, all of them if there are fewer.
        calibration_seed: Seed of that draw.
        image_size: Side in pixels that images are resized to. None keeps their
            size; a data set with images of many sizes needs it.
        mean: Per channel, subtracted from x / 255. None: what is known for
            `name`, else nothing.
        std: Per channel, divided by at the end; None as for `mean`.
        memory_limit: Bytes of decoded images above which they are read from
            disk.

    Raises:
        FileNotFoundError: If the data set is not in `data_dir`.
        ValueError: If it is no image-classification data set, a file of it is
            damaged, a split is empty or missing, a label lies outside the
            classes, or `image_size` is needed.
        TypeError: If `image_size` is no integer.
    """
    if image_size is not None:
        check_size("image_size", image_size)
    with quiet_tfds(), _damage_named(name):
        builder = _builder(name, data_dir, download)
        source = _Source(builder, image_size, mean, std, memory_limit)
        train = source.split("train", "train")
        test_split = _test_split(builder, source.label_key)
        test = source.split("test", test_split)
        validation, notes = None, []
        if validation_count:
            train, validation = _hold_out(train, validation_count)
            notes.append(
                f"validation: {validation.count} images held out of 'train'."
            )
        elif "validation" in builder.info.splits and test_split == "test":
            validation = source.split("validation", "validation")
    if test_split != "test":
        notes.append(
            f"test: the split {test_split!r}, since {name} has no labelled "
            "'test'. Nothing may be chosen on it."
        )
    if isinstance(train, StreamedSplit):
        notes.append("Images are read from disk in every epoch.")
    return Dataset(
        name=builder.info.name,
        num_classes=source.num_classes,
        input_shape=train.input_shape,
        train=train,
        validation=validation,
        calibration=calibration_draw(
            train, calibration_count, calibration_seed
        ),
        test=test,
        notes=(f"{builder.info.full_name} from TFDS.", *notes),
    )


class _Source:
    """Makes splits, in memory or streamed, from one TFDS builder."""

    def __init__(self, builder, image_size, mean, std, memory_limit):
        features = builder.info.features
        self.builder = builder
        self.image_key, self.label_key = _keys(builder)
        self.num_classes = features[self.label_key].num_classes
        self.image_size = image_size
        self.known_mean, self.known_std = _MEAN_AND_STD.get(
            builder.info.name, (None, None)
        )
        self.mean = self.known_mean if mean is None else mean
        self.std = self.known_std if std is None else std
        self.streams = self._streams(memory_limit)

    def split(self, name, tfds_split):
        if tfds_split not in self.builder.info.splits:
            raise ValueError(
                f"Expected the split {tfds_split!r} in "
                f"{self.builder.info.full_name}. It has: "
                f"{sorted(self.builder.info.splits)}."
            )
        count = self.builder.info.splits[tfds_split].num_examples
        if not count:
            raise ValueError(
                f"Split {tfds_split!r} of {self.builder.info.full_name} is "
                "empty: expected images."
            )
        if self.streams:
            return StreamedSplit(
                name,
                self.builder,
                ((tfds_split, 0, count),),
                image_key=self.image_key,
                label_key=self.label_key,
                image_size=self.image_size,
                mean=self.mean,
                std=self.std,
            )
        images, labels = self._load(tfds_split, count)
        return Split(name, images, labels, mean=self.mean, std=self.std)

    def _shape(self):
        """Returns the shape of images in memory; None where it varies."""
        height, width, channels = self.builder.info.features[
            self.image_key
        ].shape
        if self.image_size and height and width:
            height = width = self.image_size
        return height, width, channels

    def _streams(self, memory_limit):
        shape = self._shape()
        name = self.builder.info.full_name
        if shape[-1] is None:
            raise ValueError(
                f"Expected images with a fixed number of channels. {name} has "
                f"images of shape {shape}."
            )
        if None not in shape:
            splits = self.builder.info.splits.values()
            images = sum(split.num_examples for split in splits)
            if images * int(np.prod(shape)) <= memory_limit:
                return False
        if self.image_size is None and None not in shape:
            # Whatever is read from disk is resized; squares stay as they are.
            self.image_size = shape[0] if shape[0] == shape[1] else None
        if self.image_size is None:
            raise ValueError(
                f"The images of {name} differ in size or are not square: say "
                "which size to give them with image_size (tools: "
                "--image_size), for instance 224."
            )
        return True

    def _load(self, tfds_split, count):
        import tensorflow_datasets as tfds

        options = tf.data.Options()
        options.deterministic = True
        shape = self._shape()
        stored = self.builder.info.features[self.image_key].shape

        def select(example):
            image = example[self.image_key]
            if shape != stored:
                image = tf.round(resize_and_cut_centre(image, shape[0]))
            return tf.cast(image, tf.uint8), example[self.label_key]

        batches = (
            _examples(
                self.builder,
                split=tfds_split,
                read_config=tfds.ReadConfig(
                    try_autocache=False,
                    interleave_cycle_length=1,  # In the order of the files.
                    options=options,
                ),
            )
            .map(select, tf.data.AUTOTUNE)
            .batch(512)
            .prefetch(2)
        )
        images = np.empty((count, *shape), np.uint8)
        labels = np.empty(count, np.int64)
        done = 0
        with ProgressBar(
            total=count,
            what=f"Loading {self.builder.info.name} {tfds_split}",
            unit=" images",
        ) as bar:
            for image_batch, label_batch in batches.as_numpy_iterator():
                window = slice(done, done + len(label_batch))
                images[window], labels[window] = image_batch, label_batch
                done += len(label_batch)
                bar.update(len(label_batch))
        if done != count:
            raise ValueError(
                f"Expected {count} images in split {tfds_split!r} of "
                f"{self.builder.info.full_name}. Its files hold {done}: they "
                "are incomplete, prepare the data set again."
            )
        return images, labels


def _hold_out(train, count):
    """Returns `train` without `count` of its images, and these."""
    if not 1 <= count < train.count:
        raise ValueError(
            f"Expected a validation_count of 0 .. {train.count - 1}, fewer "
            f"than the training images. Received: {count}."
        )
    if isinstance(train, StreamedSplit):
        ((split, start, stop),) = train.ranges
        cut = stop - count
        parts = [((split, start, cut),), ((split, cut, stop),)]
        return tuple(
            dataclasses.replace(train, name=name, ranges=ranges)
            for name, ranges in zip(("train", "validation"), parts, strict=True)
        )
    order = np.random.default_rng([_VALIDATION_SEED]).permutation(train.count)
    return (
        train.select(np.sort(order[count:])),
        train.select(np.sort(order[:count]), name="validation"),
    )


def _keys(builder):
    """Returns the names of the image and the label among the features."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    images, labels = (
        [key for key, value in features.items() if isinstance(value, kind)]
        for kind in (tfds.features.Image, tfds.features.ClassLabel)
    )
    pair = builder.info.supervised_keys or ()
    if len(pair) == 2 and pair[0] in images and pair[1] in labels:
        return pair
    if len(images) != 1 or len(labels) != 1:
        raise ValueError(
            "Expected a TFDS data set of images with one label each. "
            f"{builder.info.full_name} has the features {sorted(features)}."
        )
    return images[0], labels[0]


def _test_split(builder, label_key):
    splits = builder.info.splits
    for name in ("test", "validation"):
        if name in splits and splits[name].num_examples:
            if _has_labels(builder, name, label_key):
                return name
    raise ValueError(
        f"Expected a split 'test' or 'validation' with labels in "
        f"{builder.info.full_name}. It has: {sorted(splits)}."
    )


def _has_labels(builder, split, label_key):
    # Withheld labels are -1 in TFDS: the test split of ImageNet, for one.
    import tensorflow_datasets as tfds

    first = _examples(
        builder,
        split=f"{split}[:8]",
        decoders=tfds.decode.PartialDecoding({label_key: True}),
    )
    return any(int(example[label_key]) >= 0 for example in first)


@contextlib.contextmanager
def _damage_named(name):
    try:
        yield
    # What protobuf and TensorFlow raise of a file that was cut or has changed.
    except (ParseError, tf.errors.OpError) as error:
        raise _damaged(name, error) from error


def _examples(builder, **options):
    """Returns `builder.as_dataset`, whose files may not be described right."""
    try:
        return builder.as_dataset(**options)
    except (ValueError, LookupError) as error:
        raise _damaged(builder.info.name, error) from error


def _damaged(name, error):
    said = str(error) or type(error).__name__
    return ValueError(
        f"Expected whole files of the TFDS data set {name!r}. One is damaged: "
        f"{said[:300]}. Prepare the data set again."
    )


def _builder(name, data_dir, download):
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.read_only_builder import builder_from_files

    if not _NAME.fullmatch(name):
        raise _not_found(name, data_dir)
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except (
        tfds.core.DatasetNotFoundError,
        ModuleNotFoundError,
    ) as error:
        raise _not_found(name, data_dir) from error
    # A dozen kinds, of descriptions that were cut off or changed.
    except Exception as error:
        raise _damaged(name, error) from error
    if download:
        builder.download_and_prepare()
    if builder.info.splits:
        return builder
    # TFDS knows another version or configuration than the one that is there.
    try:
        return builder_from_files(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        raise _not_found(name, data_dir) from error


def _not_found(name, data_dir):
    import tensorflow_datasets as tfds

    folder = str(data_dir or tfds.core.constants.DATA_DIR)
    folder = folder.replace("~", str(tfds.core.Path("~").expanduser()), 1)
    if not tf.io.gfile.isdir(folder):
        there = "There is no such folder."
    else:
        names = sorted(
            entry.rstrip("/")
            for entry in tf.io.gfile.listdir(folder)
            if tf.io.gfile.isdir(f"{folder}/{entry}")
        )
        there = f"It holds: {', '.join(names[:20]) or 'nothing'}."
    return FileNotFoundError(
        f"No data set {name!r} in the TFDS folder {folder!r}. {there} Give the "
        "folder that holds it with data_dir (tools: --data_dir), let TFDS "
        "fetch it with download=True, or use 'digits', which is part of the "
        "package."
    )
