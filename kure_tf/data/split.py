"""A part of a data set that is held in memory."""

import dataclasses
import functools
import numbers

import numpy as np
import tensorflow as tf

from kure_tf.data.augmentation import (
    draw_epoch,
    flip_and_shift,
    parse_augmentation,
)


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Images and labels of one split, in memory, not yet normalized.

    Batches are normalized on the way out:

        (x / white - mean) / std          mean and std per channel

    so that the images stay as small as they came (uint8) and models need no
    layer for it.

    Attributes:
        name: Such as "train" or "test"; reports quote it.
        images: uint8 or float array `[count, height, width, channels]`.
        labels: int64 array `[count]`.
        white: The raw value that becomes 1 before mean and std are applied:
            255 for ordinary images.
        mean: One number per channel, or None for 0.
        std: One positive number per channel, or None for 1.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    _: dataclasses.KW_ONLY
    white: float = 255.0
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self):
        images, labels = np.asarray(self.images), np.asarray(self.labels)
        _check_images(self.name, images)
        _check_labels(self.name, labels, len(images))
        channels = images.shape[-1]
        mean = per_channel("mean", self.mean, channels)
        std = per_channel("std", self.std, channels)
        if (std is not None and min(std) <= 0) or not self.white > 0:
            raise ValueError(
                "Expected a positive std and white. Received: "
                f"std={std}, white={self.white}."
            )
        for name, value in [
            ("images", images),
            ("labels", labels.astype(np.int64, copy=False)),
            ("mean", mean),
            ("std", std),
        ]:
            object.__setattr__(self, name, value)

    @property
    def count(self) -> int:
        """How many images there are."""
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return tuple(self.images.shape[1:])

    def batches(self, batch_size) -> tf.data.Dataset:
        """Returns all images once, in fixed order, in normalized batches.

        Args:
            batch_size: Images per batch; the last one holds what is left.

        Returns:
            Data set of float32 `[batch, height, width, channels]` and int64
            `[batch]`, whose batch dimension is None, so that a smaller last
            batch does not compile a function again.
        """
        images, labels = self._tensors

        def load(start):
            window = slice(start, start + batch_size)
            return self._finish(images[window], labels[window])

        return self._pipeline(batch_size, load)

    def training_batches(
        self, batch_size, *, seed, epoch, augment=()
    ) -> tf.data.Dataset:
        """Returns all images once, in the order and augmentation of `epoch`.

        Both are a function of (seed, epoch, image): calling this again gives
        the same batches.

        Args:
            batch_size: Images per batch; the last one holds what is left.
            seed: Integer, 0 or more.
            epoch: Integer, 0 or more.
            augment: Out of "flip" and "shift" (up to 4 pixels; "shift=2" for
                2). What a shift brings in is black.

        Returns:
            Data set like that of `batches`.

        Raises:
            ValueError: If an augmentation is unknown, or "crop", which only
                splits that are read from disk offer.
        """
        augmentation = parse_augmentation(augment)
        if augmentation.crop:
            raise ValueError(
                "Expected augmentations out of 'flip' and 'shift': images held "
                "in memory all have one size already. Received: "
                f"{list(augment)}."
            )
        images, labels = self._tensors
        draws = draw_epoch(
            self.count, seed=seed, epoch=epoch, augmentation=augmentation
        )
        with tf.device("CPU:0"):
            order, flip = tf.constant(draws.order), tf.constant(draws.flip)
            top, left = tf.constant(draws.top), tf.constant(draws.left)

        def load(start):
            index = order[start : start + batch_size]
            batch = tf.gather(images, index)
            if augmentation.flip or augmentation.shift:
                batch = flip_and_shift(
                    batch,
                    tf.gather(flip, index),
                    tf.gather(top, index),
                    tf.gather(left, index),
                    shift=augmentation.shift,
                )
            return self._finish(batch, tf.gather(labels, index))

        return self._pipeline(batch_size, load)

    def take(self, count, seed, *, name=None) -> "Split":
        """Returns `count` images drawn by a seeded permutation.

        Args:
            count: How many, 1 .. `self.count`.
            seed: Integer, 0 or more. The draw of a smaller count with the same
                seed is contained in that of a larger one.
            name: Name of the new split; that of this one if None.

        Raises:
            ValueError: If there are not as many images.
        """
        check_count(self, count)
        order = np.random.default_rng([seed]).permutation(self.count)
        return self.select(order[:count], name=name)

    def select(self, index, *, name=None) -> "Split":
        """Returns the images `index` (integers, in that order) as a split."""
        return dataclasses.replace(
            self,
            name=name or self.name,
            images=self.images[index],
            labels=self.labels[index],
        )

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns normalized float32 images and int64 labels, all at once."""
        images, labels = zip(
            *self.batches(1024).as_numpy_iterator(), strict=True
        )
        return np.concatenate(images), np.concatenate(labels)

    @functools.cached_property
    def _tensors(self):
        # Made once: every epoch has a pipeline of its own, and each would
        # copy the images. On the CPU, because tf.data runs there.
        with tf.device("CPU:0"):
            # tf.constant would hold the images twice.
            images = tf.io.decode_raw(self.images.tobytes(), self.images.dtype)
            images = tf.reshape(images, self.images.shape)
            return images, tf.constant(self.labels)

    def _finish(self, images, labels):
        images = tf.ensure_shape(images, [None, *self.image_shape])
        images = normalize(
            images, white=self.white, mean=self.mean, std=self.std
        )
        return images, labels

    def _pipeline(self, batch_size, load):
        # Starts of batches, not single images: one element per batch costs
        # next to nothing, one per image several microseconds each.
        check_size("the batch size", batch_size)
        starts = tf.data.Dataset.range(0, self.count, batch_size)
        options = tf.data.Options()
        options.deterministic = True
        return starts.map(load).prefetch(2).with_options(options)


def calibration_draw(training, count, seed):
    """Returns the calibration images: some of the training split.

    The name of what a seed other than 0 draws says so: reports tell
    measurements apart by it.

    Args:
        training: The training split.
        count: How many; all if there are fewer.
        seed: Integer, 0 or more.

    Raises:
        TypeError, ValueError: If `count` or `seed` is none.
    """
    check_size("calibration_count", count)
    if not (isinstance(seed, numbers.Integral) and seed >= 0):
        raise ValueError(
            "Expected calibration_seed as an integer of 0 or more. "
            f"Received: {seed!r}."
        )
    name = "calibration" if seed == 0 else f"calibration seed {seed}"
    return training.take(min(count, training.count), seed, name=name)


def normalize(images, *, white=255.0, mean=None, std=None):
    """Returns float32 `(images / white - mean) / std`, per channel.

    Args:
        images: Tensor `[..., height, width, channels]` of a static shape there.
        white: The raw value that becomes 1.
        mean: One number per channel, or None for 0.
        std: One number per channel, or None for 1.
    """
    shape = [int(side) for side in images.shape[-3:]]
    mean = np.zeros(shape) + (0.0 if mean is None else mean)
    std = np.ones(shape) * (1.0 if std is None else std)
    # One multiplication and one addition by constants as large as an image:
    # three times as fast as broadcasting over a short last axis.
    factor = tf.constant(1 / (white * std), tf.float32)
    return tf.cast(images, tf.float32) * factor + tf.constant(
        -mean / std, tf.float32
    )


def check_size(name, size):
    """Returns `size`, or raises unless it is an integer of 1 or more."""
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)):
        raise TypeError(
            f"Expected {name} to be an integer. Received: {size!r}."
        )
    if size < 1:
        raise ValueError(f"Expected {name} to be 1 or more. Received: {size}.")
    return size


def check_count(split, count):
    """Raises unless `count` images can be drawn from `split`."""
    if not 1 <= count <= split.count:
        raise ValueError(
            f"Expected to draw 1 .. {split.count} images from the split "
            f"{split.name!r}. Received: {count}."
        )


def check_label_range(name, labels, num_classes):
    """Raises a ValueError when a label is not in 0 .. num_classes - 1."""
    low, high = int(np.min(labels)), int(np.max(labels))
    if low < 0 or high >= num_classes:
        raise ValueError(
            f"Expected labels 0 .. {num_classes - 1}, one per class. Split "
            f"{name!r} holds labels {low} .. {high}. Give num_classes="
            f"{high + 1}, or renumber the labels."
        )


def _check_images(name, images):
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise ValueError(
            "Expected images of shape [count, height, width, channels]. Split "
            f"{name!r} has the shape {list(images.shape)}. Add a last axis to "
            "grey images: images[..., np.newaxis]."
        )
    if not len(images):
        raise ValueError(f"Split {name!r} is empty. Expected images.")
    if images.dtype == np.uint8:
        return
    if not np.issubdtype(images.dtype, np.floating):
        raise ValueError(
            "Expected images as uint8 or floating point. Split "
            f"{name!r} holds {images.dtype}."
        )
    if not np.isfinite(images).all():
        raise ValueError(
            "Expected images of finite numbers. Split "
            f"{name!r} holds NaN or infinity."
        )


def _check_labels(name, labels, count):
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"Expected one integer label per image, shape [{count}]. Split "
            f"{name!r} has {labels.dtype} labels of shape "
            f"{list(labels.shape)}."
        )


def per_channel(name, values, channels):
    """Returns `values` as a tuple of one float per channel, or None.

    Raises:
        ValueError: If the length is not `channels`.
    """
    if values is None:
        return None
    values = tuple(float(value) for value in np.ravel(values))
    if len(values) != channels:
        raise ValueError(
            f"Expected {name} with one number for each of {channels} channels. "
            f"Received: {values}."
        )
    return values
