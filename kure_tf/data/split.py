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
from kure_tf.data.inputs import (
    check_normalization,
    checked_parts,
    described,
    each_input,
    is_image,
    is_scaled,
    normalize,
    structured,
    white_of,
)
from kure_tf.data.labels import checked_labels


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Inputs and labels of one split, in memory, not yet normalized.

    What the inputs are follows from their dtype and shape:

    * uint8 or floating point `[count, height, width, channels]`: images;
    * other floating point, such as `[count, n]`: rows, sequences, ...;
    * integers, such as `[count, steps]`: token ids. They stay the integers
      that they are. uint8 has to be an image, or one axis per example;
    * a dictionary of these, by the names of a model's inputs, or a tuple in
      their order: several inputs, each on its own scale.

    Images and floating point are normalized on the way out, to float32:

        (x / white - mean) / std     mean and std per channel, the last axis

    so that images stay as small as they came (uint8) and models need no layer
    for it.

    Attributes:
        name: Such as "train" or "test"; reports quote it.
        inputs: Array `[count, ...]`, or several in a dictionary or tuple.
        labels: What the inputs belong to: class numbers, an int64 array
            `[count]`, or `[count, ...]` with one for each position (pixel,
            step); or targets, a float32 array `[count, ...]`.
        white: The raw value that becomes 1 before mean and std are applied;
            None for 255 where the inputs are images of uint8, else 1; as mean
            and std None where there are several inputs.
        mean: One number per channel, or None for 0.
        std: One positive number per channel, or None for 1.
    """

    name: str
    inputs: np.ndarray
    labels: np.ndarray
    _: dataclasses.KW_ONLY
    white: float | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self):
        (count, *_) = (*np.shape(self.labels), None)
        inputs = structured(self.inputs, count)
        inputs = checked_parts(self.name, inputs)
        count = len(tf.nest.flatten(inputs)[0])
        labels = checked_labels(self.name, self.labels, count)
        white, mean, std = self._normalization(inputs)
        for name, value in [
            ("inputs", inputs),
            ("labels", labels),
            ("white", white),
            ("mean", mean),
            ("std", std),
        ]:
            object.__setattr__(self, name, value)

    def _normalization(self, inputs):
        """Returns white, mean and std, checked."""
        white, mean, std = self.white, self.mean, self.std
        if isinstance(inputs, (dict, tuple)):
            if not white is mean is std is None:
                raise ValueError(
                    "Expected no white, mean and std with several inputs, of "
                    "which images of uint8 are divided by 255 and others are "
                    f"as they are. Received: {white=}, {mean=}, {std=}."
                )
            return None, None, None
        check_normalization(self.name, inputs, white, mean, std)
        channels = inputs.shape[-1] if inputs.ndim > 1 else 1
        mean = per_channel("mean", mean, channels)
        std = per_channel("std", std, channels)
        white = white_of(inputs) if white is None else white
        if (std is not None and min(std) <= 0) or not white > 0:
            raise ValueError(
                "Expected a positive std and white. Received: "
                f"std={std}, white={white}."
            )
        return white, mean, std

    @property
    def count(self) -> int:
        """How many examples there are."""
        return len(self.labels)

    @property
    def input_shape(self):
        """The shape of one example: of images (height, width, channels).

        Of several inputs, a dictionary or tuple of shapes.
        """
        return each_input(lambda one: tuple(one.shape[1:]), self.inputs)

    @property
    def holds_classes(self) -> bool:
        """Whether the labels are class numbers."""
        return np.issubdtype(self.labels.dtype, np.integer)

    @property
    def label_shape(self) -> tuple[int, ...]:
        """The shape of one example's labels: () for one class number."""
        return tuple(self.labels.shape[1:])

    def some_labels(self) -> np.ndarray:
        """Returns labels of a few hundred examples, in their order."""
        return self.labels[:256]

    @property
    def holds_images(self) -> bool:
        """Whether the inputs are images, and nothing else."""
        several = isinstance(self.inputs, (dict, tuple))
        return not several and is_image(self.inputs.dtype, self.input_shape)

    def batches(self, batch_size) -> tf.data.Dataset:
        """Returns all examples once, in fixed order, in normalized batches.

        Args:
            batch_size: Examples per batch; the last one holds what is left.

        Returns:
            Data set of inputs `[batch, ...]` and labels `[batch, ...]`, whose
            batch dimension is None, so that a smaller last batch does not
            compile a function again.
        """
        inputs, labels = self._tensors

        def load(start):
            window = slice(start, start + batch_size)
            part = tf.nest.map_structure(lambda one: one[window], inputs)
            return self._finish(part, labels[window])

        return self._pipeline(batch_size, load)

    def training_batches(
        self, batch_size, *, seed, epoch, augment=()
    ) -> tf.data.Dataset:
        """Returns all examples once, in the order and augmentation of `epoch`.

        Both are a function of (seed, epoch, example): calling this again gives
        the same batches.

        Args:
            batch_size: Examples per batch; the last one holds what is left.
            seed: Integer, 0 or more.
            epoch: Integer, 0 or more.
            augment: For images, out of "flip" and "shift" (up to 4 pixels;
                "shift=2" for 2). What a shift brings in is black.

        Returns:
            Data set like that of `batches`.

        Raises:
            ValueError: If an augmentation is unknown, or "crop", which only
                splits that are read from disk offer; or if there is one and
                the inputs are no images.
        """
        augmentation = parse_augmentation(augment)
        self._check_augmentation(augmentation, augment)
        inputs, labels = self._tensors
        draws = draw_epoch(
            self.count, seed=seed, epoch=epoch, augmentation=augmentation
        )
        with tf.device("CPU:0"):
            order, flip = tf.constant(draws.order), tf.constant(draws.flip)
            top, left = tf.constant(draws.top), tf.constant(draws.left)

        def load(start):
            index = order[start : start + batch_size]
            batch = tf.nest.map_structure(
                lambda one: tf.gather(one, index), inputs
            )
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
        """Returns `count` examples drawn by a seeded permutation.

        Args:
            count: How many, 1 .. `self.count`.
            seed: Integer, 0 or more. The draw of a smaller count with the same
                seed is contained in that of a larger one.
            name: Name of the new split; that of this one if None.

        Raises:
            ValueError: If there are not as many examples.
        """
        check_count(self, count)
        order = np.random.default_rng([seed]).permutation(self.count)
        return self.select(order[:count], name=name)

    def select(self, index, *, name=None) -> "Split":
        """Returns the examples `index` (integers, in that order) as a split."""
        return dataclasses.replace(
            self,
            name=name or self.name,
            inputs=tf.nest.map_structure(lambda one: one[index], self.inputs),
            labels=self.labels[index],
        )

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns normalized inputs and labels, all at once."""
        batches = list(self.batches(1024).as_numpy_iterator())
        return tf.nest.map_structure(
            lambda *parts: np.concatenate(parts), *batches
        )

    @functools.cached_property
    def _tensors(self):
        # Made once: every epoch has a pipeline of its own, and each would
        # copy the inputs. On the CPU, because tf.data runs there.
        with tf.device("CPU:0"):
            inputs = tf.nest.map_structure(_as_tensor, self.inputs)
            return inputs, tf.constant(self.labels)

    def _check_augmentation(self, augmentation, augment):
        if augmentation.crop:
            raise ValueError(
                "Expected augmentations out of 'flip' and 'shift': images held "
                "in memory all have one size already. Received: "
                f"{list(augment)}."
            )
        if (augmentation.flip or augmentation.shift) and not self.holds_images:
            raise ValueError(
                "Expected no augmentation: 'flip' and 'shift' move the pixels "
                f"of images, and the split {self.name!r} holds inputs "
                f"{described(self.inputs)}. Received: {list(augment)}."
            )
        moves = augmentation.flip or augmentation.shift
        if moves and self.label_shape[:2] == self.input_shape[:2]:
            raise ValueError(
                "Expected no augmentation: 'flip' and 'shift' move the pixels "
                "of images and would leave their labels where they are. The "
                f"split {self.name!r} has labels of shape "
                f"{list(self.label_shape)} for each image. Received: "
                f"{list(augment)}."
            )

    def _finish(self, inputs, labels):
        inputs = tf.nest.map_structure(self._scaled, inputs, self.inputs)
        return inputs, labels

    def _scaled(self, batch, own):
        """Returns a batch of an input as it goes into the model."""
        shape = tuple(own.shape[1:])
        batch = tf.ensure_shape(batch, [None, *shape])
        if not is_scaled(own):
            return batch
        white = white_of(own) if self.white is None else self.white
        return normalize(
            batch, shape, white=white, mean=self.mean, std=self.std
        )

    def _pipeline(self, batch_size, load):
        # Starts of batches, not single examples: one element per batch costs
        # next to nothing, one per example several microseconds each.
        check_size("the batch size", batch_size)
        starts = tf.data.Dataset.range(0, self.count, batch_size)
        options = tf.data.Options()
        options.deterministic = True
        return starts.map(load).prefetch(2).with_options(options)


def _as_tensor(array):
    # tf.constant would hold it twice.
    flat = tf.io.decode_raw(array.tobytes(), array.dtype)
    return tf.reshape(flat, array.shape)


def calibration_draw(training, count, seed):
    """Returns the calibration examples: some of the training split.

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
    """Raises unless `count` examples can be drawn from `split`."""
    if not 1 <= count <= split.count:
        raise ValueError(
            f"Expected to draw 1 .. {split.count} examples from the split "
            f"{split.name!r}. Received: {count}."
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
