"""A part of a TFDS data set that is read from disk in every epoch."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from kure_tf.data.augmentation import parse_augmentation
from kure_tf.data.inputs import normalize
from kure_tf.data.quiet_tfds import quiet_tfds
from kure_tf.data.split import check_count, check_size
from kure_tf.data.split import per_channel as check_per_channel

_WINDOW_BYTES = 2**29  # Encoded images that are shuffled together.
_DRAWN_PIECES = 32
_EVALUATION_CROP = 224 / 256  # Side that is kept of the shorter side.


@dataclasses.dataclass(frozen=True, eq=False)
class StreamedSplit:
    """Images and labels that are too many for memory; used like a `Split`.

    Evaluation resizes the shorter side to 256/224 of `image_size` (bilinear,
    antialiased) and cuts out the centre; images that all have that size already
    stay as they are. Training does the same, or with "crop" resizes a random
    part of the image: 8 to 100 % of its area, with an aspect ratio of 3/4 to
    4/3 (Szegedy et al. 2015). It is drawn by TensorFlow's sampler, which is
    uniform in the height of the part where others are uniform in its area.

    Attributes:
        name: Such as "train" or "test"; reports quote it.
        builder: The TFDS builder.
        ranges: (TFDS split, start, stop) of each stretch of images, in order.
        image_key: Name of the image in the TFDS features.
        label_key: Name of the label in the TFDS features.
        image_size: Side in pixels of the images in batches.
        mean: One number per channel on the scale 0 .. 1, or None for 0.
        std: One positive number per channel, or None for 1.
    """

    name: str
    builder: object
    ranges: tuple[tuple[str, int, int], ...]
    _: dataclasses.KW_ONLY
    image_key: str
    label_key: str
    image_size: int
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self):
        if not self.count:
            raise ValueError(f"Split {self.name!r} is empty. Expected images.")
        channels = self.input_shape[-1]
        check_per_channel("mean", self.mean, channels)
        check_per_channel("std", self.std, channels)

    @property
    def count(self) -> int:
        """How many images there are."""
        return sum(stop - start for _, start, stop in self.ranges)

    holds_images = holds_classes = True  # As those of `Split`.
    label_shape = ()

    def some_labels(self) -> np.ndarray:
        """Returns a label: see `Split.some_labels`."""
        return np.zeros(1, np.int64)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the images in batches."""
        return (self.image_size, self.image_size, self._stored_shape[-1])

    def batches(self, batch_size) -> tf.data.Dataset:
        """Returns all images once, in fixed order: see `Split.batches`."""
        return self._batched(
            self._encoded(self.ranges, files_at_once=1).enumerate(),
            lambda _, image: self._centre(image),
            batch_size,
        )

    def training_batches(
        self, batch_size, *, seed, epoch, augment=()
    ) -> tf.data.Dataset:
        """Returns all images once, in the order and augmentation of `epoch`.

        The files come in an order drawn from (seed, epoch), and within
        windows of half a gigabyte of encoded images so do the images. A
        smaller set is one window: its order is a permutation. The augmentation
        of an image is a function of (seed, epoch, its place in that order).

        Args:
            batch_size, seed, epoch: As for `Split.training_batches`.
            augment: Out of "flip" and "crop".

        Raises:
            ValueError: If an augmentation is unknown, or "shift", which only
                splits in memory offer.
        """
        augmentation = parse_augmentation(augment)
        if augmentation.shift:
            raise ValueError(
                "Expected augmentations out of 'flip' and 'crop' for a data "
                f"set that is read from disk. Received: {list(augment)}."
            )
        generator = np.random.default_rng([seed, epoch])
        ranges = self._shards()
        ranges = [ranges[i] for i in generator.permutation(len(ranges))]
        keys = generator.integers(2**31, size=3)

        def augmented(place, image):
            if augmentation.crop:
                image = self._random_part(image, tf.stack([keys[0], place]))
            else:
                image = self._centre(image)
            if augmentation.flip:
                image = tf.image.stateless_random_flip_left_right(
                    image, tf.stack([keys[1], place])
                )
            return image

        examples = _shuffle_windows(
            self._encoded(ranges, files_at_once=16), self._window(), keys[2]
        )
        return self._batched(examples.enumerate(), augmented, batch_size)

    def take(self, count, seed, *, name=None) -> "StreamedSplit":
        """Returns `count` images, drawn by a seed in up to 32 stretches.

        Single images would be a draw of more independence, but half of all
        files would have to be read to reach them. TFDS shuffles images when it
        writes them, so neighbours have nothing in common.

        Raises:
            ValueError: If there are not as many images.
        """
        check_count(self, count)
        pieces = self._pieces(max(1, count // _DRAWN_PIECES))
        drawn, missing = [], count
        for i in np.random.default_rng([seed]).permutation(len(pieces)):
            split, start, stop = pieces[i]
            stop = min(stop, start + missing)
            drawn.append((split, start, stop))
            missing -= stop - start
            if not missing:
                break
        return dataclasses.replace(
            self, name=name or self.name, ranges=tuple(drawn)
        )

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns normalized float32 images and int64 labels, all at once."""
        images, labels = zip(*self.batches(64).as_numpy_iterator(), strict=True)
        return np.concatenate(images), np.concatenate(labels)

    def _pieces(self, size):
        return [
            (split, begin, min(begin + size, stop))
            for split, start, stop in self.ranges
            for begin in range(start, stop, size)
        ]

    def _shards(self):
        """Returns `ranges` cut where one file ends and the next begins."""
        shards = []
        for split, start, stop in self.ranges:
            lengths = self.builder.info.splits[split].shard_lengths
            ends = np.cumsum(lengths)
            for begin, end in zip(ends - lengths, ends, strict=True):
                begin, end = max(start, int(begin)), min(stop, int(end))
                if begin < end:
                    shards.append((split, begin, end))
        return shards

    def _window(self):
        split = self.builder.info.splits[self.ranges[0][0]]
        bytes_each = max(1, split.num_bytes // split.num_examples)
        return min(self.count, max(1024, _WINDOW_BYTES // bytes_each))

    def _encoded(self, ranges, *, files_at_once):
        import tensorflow_datasets as tfds

        instructions = [
            tfds.core.ReadInstruction(split, from_=start, to=stop, unit="abs")
            for split, start, stop in ranges
        ]
        options = tf.data.Options()
        options.deterministic = True
        with quiet_tfds():
            examples = self.builder.as_dataset(
                split=sum(instructions[1:], instructions[0]),
                decoders={self.image_key: tfds.decode.SkipDecoding()},
                read_config=tfds.ReadConfig(
                    try_autocache=False,
                    interleave_cycle_length=files_at_once,
                    enable_ordering_guard=False,
                    options=options,
                ),
            )
        return examples.map(
            lambda example: (example[self.image_key], example[self.label_key])
        )

    def _batched(self, examples, transform, batch_size):
        features = self.builder.info.features
        decode = features[self.image_key].decode_example
        num_classes = features[self.label_key].num_classes

        def load(place, example):
            encoded, label = example
            label = self._checked(label, num_classes)
            image = transform(place, decode(encoded))
            image = tf.ensure_shape(image, self.input_shape)
            image = normalize(
                image,
                self.input_shape,
                white=255.0,
                mean=self.mean,
                std=self.std,
            )
            return image, label

        check_size("the batch size", batch_size)
        count = math.ceil(self.count / batch_size)
        return (
            examples.map(load, tf.data.AUTOTUNE, deterministic=True)
            .batch(batch_size)
            .apply(tf.data.experimental.assert_cardinality(count))
            .prefetch(2)
        )

    def _checked(self, label, num_classes):
        check = tf.debugging.Assert(
            (label >= 0) & (label < num_classes),
            [
                f"Expected labels 0 .. {num_classes - 1}. Split {self.name!r} "
                "holds the label:",
                label,
            ],
        )
        with tf.control_dependencies([check] if check is not None else []):
            return tf.identity(label)

    def _centre(self, image):
        if self._stored_shape == self.input_shape:
            return tf.cast(image, tf.float32)
        return resize_and_cut_centre(
            image, self.image_size, kept=_EVALUATION_CROP
        )

    @property
    def _stored_shape(self):
        return tuple(self.builder.info.features[self.image_key].shape)

    def _random_part(self, image, seed):
        begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
            tf.shape(image),
            tf.zeros([1, 0, 4]),
            seed,
            min_object_covered=0.0,  # 0.1 would refuse the smallest parts.
            aspect_ratio_range=(3 / 4, 4 / 3),
            area_range=(0.08, 1.0),
            use_image_if_no_bounding_boxes=True,
        )
        return tf.image.resize(
            tf.slice(image, begin, size),
            [self.image_size, self.image_size],
            antialias=True,
        )


def resize_and_cut_centre(image, size, *, kept=1.0):
    """Returns the centre of `image`, resized to `size` x `size`.

    The shorter side becomes `size` / `kept`, bilinear and antialiased.

    Args:
        image: Tensor `[height, width, channels]`, any real dtype.
        size: Side in pixels.
        kept: Which part of the shorter side is kept, above 0, at most 1.

    Returns:
        float32 tensor `[size, size, channels]` on the scale of `image`.
    """
    sides = tf.cast(tf.shape(image)[:2], tf.float32)
    scale = size / kept / tf.reduce_min(sides)
    sides = tf.maximum(tf.cast(tf.round(sides * scale), tf.int32), size)
    resized = tf.image.resize(image, sides, antialias=True)
    top, left = tf.unstack((sides - size) // 2)
    return resized[top : top + size, left : left + size]


def _shuffle_windows(examples, window, key):
    # Dataset.shuffle would mix the process's global seed into its own.
    def shuffle(place, batch):
        images, labels = batch
        order = tf.random.experimental.stateless_shuffle(
            tf.range(tf.shape(labels)[0]), tf.stack([key, place])
        )
        return tf.gather(images, order), tf.gather(labels, order)

    return examples.batch(window).enumerate().map(shuffle).unbatch()
