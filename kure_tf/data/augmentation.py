"""Seeded augmentation of training images: which images move, and how far."""

import dataclasses

import numpy as np
import tensorflow as tf

_DEFAULT_SHIFT = 4  # Pixels; the usual choice for 32 x 32 images.


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What `parse_augmentation` understood.

    Attributes:
        flip: Whether half of the images are mirrored left to right.
        shift: Largest displacement in pixels along each axis; what enters
            from outside is black. 0 leaves the images where they are.
        crop: Whether a random part of the image, 8 to 100 % of its area with
            an aspect ratio of 3/4 to 4/3, is resized to the whole.
    """

    flip: bool = False
    shift: int = 0
    crop: bool = False


def parse_augmentation(names) -> Augmentation:
    """Returns the augmentation that `names` asks for.

    Args:
        names: Sequence of "flip", "shift" (4 pixels), "shift=2" (2 pixels) and
            "crop". Empty for none.

    Raises:
        ValueError: If a name is unknown, repeated or has a bad number.
    """
    if isinstance(names, str):
        names = (names,)
    if not isinstance(names, (list, tuple)):
        raise _unknown([names])
    options = {}
    for text in names:
        name, _, number = str(text).partition("=")
        if name in options or name not in ("flip", "shift", "crop"):
            raise _unknown(names)
        positive = number.isdecimal() and int(number) > 0
        if number and not (name == "shift" and positive):
            raise _unknown(names)
        options[name] = True
        if name == "shift":
            options[name] = int(number or _DEFAULT_SHIFT)
    return Augmentation(**options)


def _unknown(names):
    return ValueError(
        "Expected augmentations out of 'flip', 'shift' (4 pixels), 'shift=2' "
        "(a whole number of pixels, 1 or more) and 'crop', each at most once. "
        f"Received: {list(names)}."
    )


@dataclasses.dataclass(frozen=True)
class EpochDraws:
    """Order and augmentation of one epoch, drawn in advance.

    They are a function of (seed, epoch) and, but for the order, indexed by
    image. Nothing depends on the state of an iterator, so an interrupted
    training run finds the same batches again.

    Attributes:
        order: int64 `[count]`, a permutation of the images.
        flip: bool `[count]`, whether image i is mirrored.
        top: int32 `[count]`, vertical offset of image i, 0 .. 2 `shift`.
        left: int32 `[count]`, horizontal offset of image i, 0 .. 2 `shift`.
    """

    order: np.ndarray
    flip: np.ndarray
    top: np.ndarray
    left: np.ndarray


def draw_epoch(count, *, seed, epoch, augmentation) -> EpochDraws:
    """Draws order and augmentation of `count` images for one epoch."""
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(count)
    flip = generator.random(count) < 0.5
    offsets = generator.integers(
        0, 2 * augmentation.shift, size=(2, count), endpoint=True
    )
    top, left = offsets.astype(np.int32)
    return EpochDraws(order, flip & augmentation.flip, top, left)


def flip_and_shift(images, flip, top, left, *, shift):
    """Mirrors each image if asked, then moves it.

    The image is padded with `shift` black pixels on each side and a window of
    its own size is cut out at (`top`, `left`); (`shift`, `shift`) leaves it
    where it is.

    Args:
        images: Tensor `[batch, height, width, channels]`, not normalized: the
            padding is 0.
        flip, top, left: Of these images; see `EpochDraws`.
        shift: Python int, 0 or more.

    Returns:
        Tensor of the shape and dtype of `images`.

    Raises:
        ValueError: If `shift` can move an image out of sight.
    """
    sides = [side for side in images.shape[1:3] if side is not None]
    if sides and shift >= min(sides):
        raise ValueError(
            f"Expected a shift of fewer than {min(sides)} pixels, the shorter "
            f"side of the images. Received: {shift}."
        )
    shape = tf.shape(images)
    batch, height, width = shape[0], shape[1], shape[2]
    padded = tf.pad(images, [[0, 0], [shift, shift], [shift, shift], [0, 0]])
    padded_width = width + 2 * shift
    rows = top[:, tf.newaxis] + tf.range(height)
    columns = left[:, tf.newaxis] + tf.range(width)
    columns = tf.where(flip[:, tf.newaxis], padded_width - 1 - columns, columns)
    # One gather of whole pixels does both, at a tenth of the cost of
    # per-image crops.
    pixels = rows[:, :, tf.newaxis] * padded_width + columns[:, tf.newaxis, :]
    flat = tf.reshape(padded, [batch, -1, images.shape[-1]])
    moved = tf.gather(flat, tf.reshape(pixels, [batch, -1]), batch_dims=1)
    return tf.reshape(moved, shape)
