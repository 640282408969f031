"""Image files in class folders, read into arrays of one size."""

import pathlib

import numpy as np
import tensorflow as tf

from kure_tf.data.streamed_split import resize_and_cut_centre
from kure_tf.progress import ProgressBar

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
"""What is read as an image; the formats of TensorFlow's decoder."""


def class_folders(folder) -> list[str]:
    """Returns the names of the sub-folders of `folder`, sorted."""
    return sorted(
        path.name
        for path in pathlib.Path(folder).iterdir()
        if path.is_dir() and not path.name.startswith(".")
    )


def labelled_files(folder, classes) -> list[tuple[pathlib.Path, int]]:
    """Returns the image files of the classes and their labels, sorted.

    Sub-folders of a class are looked through; files of other suffixes are not
    images.

    Raises:
        ValueError: If a sub-folder is none of the classes, or no image there.
    """
    unknown = sorted(set(class_folders(folder)) - set(classes))
    if unknown:
        raise ValueError(
            f"Expected the classes of the training images, {list(classes)}, "
            f"as sub-folders of {str(folder)!r}. It has another: "
            f"{unknown[0]!r}."
        )
    found = []
    for label, name in enumerate(classes):
        files = sorted(
            path
            for path in pathlib.Path(folder, name).rglob("*")
            if path.suffix.lower() in SUFFIXES and path.is_file()
        )
        found += [(path, label) for path in files]
    if not found:
        raise ValueError(
            f"Expected images ({', '.join(SUFFIXES)}) in the sub-folders of "
            f"{str(folder)!r}. There are none."
        )
    return found


def read_images(paths, *, image_size, memory_limit) -> np.ndarray:
    """Returns the images in files, uint8 `[count, height, width, channels]`.

    Grey images stay grey if all are; else all have three channels. Of a GIF it
    is the first frame.

    Args:
        paths: The files, one or more.
        image_size: Side in pixels that images are resized to, the shorter side
            first, and the centre cut out; None keeps their size.
        memory_limit: Largest number of bytes that the images may have.

    Raises:
        ValueError: If a file is no image, sizes differ and `image_size` is
            None, or the images are more than fit.
    """
    images = None
    bar = ProgressBar(paths, "Reading images", unit=" images")
    for place, path in enumerate(bar):
        image = _sized(_decoded(path), image_size)
        if images is None:
            size = len(paths) * 3 * int(np.prod(image.shape[:2]))
            _check_memory(size, len(paths), memory_limit)
            images = np.empty((len(paths), *image.shape[:2], 3), np.uint8)
        if image.shape[:2] != images.shape[1:3]:
            raise ValueError(
                "Expected images of one size. "
                f"{str(paths[0])!r} has {list(images.shape[1:3])} pixels and "
                f"{str(path)!r} has {list(image.shape[:2])}. Say which size to "
                "give them with image_size (tools: --image_size), such as 224."
            )
        images[place] = image
    grey = (images == images[..., :1]).all()
    return images[..., :1].copy() if grey else images


def _decoded(path):
    """Returns uint8 `[height, width, 3]`, on which grey is three times grey."""
    try:
        image = tf.io.decode_image(path.read_bytes(), expand_animations=False)
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(
            f"Expected an image in {str(path)!r}. It cannot be read: "
            f"{str(error)[:200]}. Remove the file, or write it anew."
        ) from error
    # One and two channels: grey, perhaps with alpha. Four: RGB and alpha.
    colours = image[..., :1] if image.shape[-1] < 3 else image[..., :3]
    return tf.broadcast_to(colours, [*colours.shape[:2], 3])


def _sized(image, image_size):
    if image_size is None or tuple(image.shape[:2]) == (image_size, image_size):
        return image.numpy()
    resized = tf.round(resize_and_cut_centre(image, image_size))
    return tf.saturate_cast(resized, tf.uint8).numpy()


def _check_memory(size, count, limit):
    if size > limit:
        raise ValueError(
            f"Expected images that fit in {limit:,} bytes. These {count} take "
            f"{size:,}. Make them smaller with image_size (tools: "
            "--image_size), raise memory_limit, or write them as a TFDS data "
            "set (tfds.folder_dataset.ImageFolder), which is read from disk."
        )
