"""A data set that is a folder of images, a sub-folder for each class."""

import hashlib
import os
import pathlib

import numpy as np

from kure_tf.data.dataset import Dataset
from kure_tf.data.digits import stratified_order
from kure_tf.data.image_files import (
    class_folders,
    labelled_files,
    read_images,
)
from kure_tf.data.split import Split, calibration_draw, check_size

_HELD_OUT = {"test": 0.2, "validation": 0.1}  # Of the training images.
_NAMES = {"test": ("test",), "validation": ("val", "validation")}
_SPLIT_SEED = 0


def folder_dataset(
    path,
    *,
    image_size=None,
    calibration_count=512,
    calibration_seed=0,
    memory_limit=2_000_000_000,
) -> Dataset:
    """Returns the images in a folder that has a sub-folder for each class.

        PATH/cat/1.jpg  PATH/dog/1.jpg         the classes "cat" and "dog"
        PATH/train/cat/1.jpg  PATH/test/...    the same, with splits

    Classes are numbered in the order of their names, as
    `keras.utils.image_dataset_from_directory` does. Where there is a folder
    "train", the folders "val" (or "validation") and "test" beside it are the
    other splits. A split without a folder is drawn from the training images:
    20 % of them for the test, 10 % for validation, a draw with a fixed seed
    that holds every class in proportion. The notes of the data set say which.

    Images are held in memory and divided by 255; nothing else is done to them.
    The data set's name ends in a hash of the names and sizes of all files, so
    that runs on another content of the folder are other runs.

    Args:
        path: The folder.
        image_size: Side in pixels that images are resized to, the shorter side
            first, and the centre cut out. None keeps their size, which has to
            be one then.
        calibration_count, calibration_seed: As for `from_arrays`.
        memory_limit: Largest number of bytes that all images may have.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If there are fewer than two classes, a split has no images
            or another class, a file cannot be read, images differ in size and
            `image_size` is None, or they do not fit in memory.
        TypeError: If `path` is no path, or `image_size` no integer.
    """
    if image_size is not None:
        check_size("image_size", image_size)
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(
            "Expected the path of a folder of images. Received: "
            f"{type(path).__name__}."
        )
    folder = pathlib.Path(path)
    if not str(path) or not folder.is_dir():
        raise FileNotFoundError(
            f"Expected a folder of images with a sub-folder for each class. "
            f"There is no folder {str(path)!r}."
        )
    places = _split_folders(folder)
    classes = _classes(places["train"])
    files = {
        split: labelled_files(place, classes) for split, place in places.items()
    }
    _check_each_class(files["train"], classes, places["train"])
    name = f"folder:{folder.resolve().name} {_digest(folder, files)}"
    splits = _read(files, image_size, memory_limit)
    notes = _hold_out(splits)
    train = splits["train"]
    return Dataset(
        name=name,
        num_classes=len(classes),
        input_shape=train.input_shape,
        train=train,
        validation=splits["validation"],
        calibration=calibration_draw(
            train, calibration_count, calibration_seed
        ),
        test=splits["test"],
        notes=(
            f"{name}: the hash is of the names and sizes of its image files. "
            f"Classes: {', '.join(classes)}.",
            *notes,
        ),
    )


def _split_folders(folder):
    """Returns `{split: folder}` of what lies apart; "train" is always there."""
    if not (folder / "train").is_dir():
        return {"train": folder}
    found = {"train": folder / "train"}
    for split, names in _NAMES.items():
        for name in names:
            if (folder / name).is_dir():
                found.setdefault(split, folder / name)
    return found


def _classes(folder):
    classes = class_folders(folder)
    if len(classes) < 2:
        raise ValueError(
            "Expected a sub-folder for each class, two or more, in "
            f"{str(folder)!r}. Received: {', '.join(classes) or 'none'}. Move "
            "the images of each class into a folder of its name."
        )
    return classes


def _check_each_class(files, classes, folder):
    labels = {label for _, label in files}
    for label, name in enumerate(classes):
        if label not in labels:
            raise ValueError(
                "Expected images of each class to train on. "
                f"{str(folder / name)!r} has none: add some, or remove it."
            )


def _digest(folder, files):
    """Returns a hash of the names and sizes of all image files."""
    found = hashlib.sha256()
    for split, pairs in files.items():
        for path, _ in pairs:
            name = path.relative_to(folder).as_posix()
            found.update(f"{split} {name} {path.stat().st_size}\n".encode())
    return found.hexdigest()[:8]


def _read(files, image_size, memory_limit):
    """Returns `{split: Split}` of the files, all read at once.

    Whether images are grey is a question to all of them.
    """
    pairs = [pair for split in files.values() for pair in split]
    images = read_images(
        [path for path, _ in pairs],
        image_size=image_size,
        memory_limit=memory_limit,
    )
    labels = np.array([label for _, label in pairs])
    splits, start = {}, 0
    for split, found in files.items():
        stop = start + len(found)
        splits[split] = Split(split, images[start:stop], labels[start:stop])
        start = stop
    return splits


def _hold_out(splits):
    """Draws the splits that are not there; returns what to say of it."""
    whole, notes = splits["train"], []
    order = stratified_order(whole.labels, seed=_SPLIT_SEED)
    for split, share in _HELD_OUT.items():
        if split in splits:
            continue
        count = max(1, round(share * whole.count))
        drawn, order = order[:count], order[count:]
        splits[split] = whole.select(np.sort(drawn), name=split)
        notes.append(
            f"{split}: {count} images held out of the {whole.count} that "
            f"training would have had, every class in proportion (draw with "
            f"seed {_SPLIT_SEED})."
        )
    splits["train"] = whole.select(np.sort(order))
    return notes
