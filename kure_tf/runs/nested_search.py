"""The search for one code of all widths, as a value."""

import dataclasses
from typing import Literal

from kure_tf import compat, ptq, qat
from kure_tf.data.augmentation import parse_augmentation
from kure_tf.ops.checks import check_choice, check_whole
from kure_tf.settings.nested_weights import READINGS, checked_widths
from kure_tf.settings.operating_point import check_bits
from kure_tf.sweeps.batch_norm_images import augmented_batches

_BATCH_SIZE = 256


@dataclasses.dataclass(frozen=True)
class NestedSearch:
    """Which widths read one 8-bit code, and how the codes are found.

    Attributes:
        bits: Bits of the weights, 2 to 8, 8 among them.
        activation_bits: Bits of the activations; several give each width with
            each of them. The search is made at the first.
        reading: How the device reads the codes at fewer bits: rounded with
            ties to even, to the middle of what truncation leaves, or
            truncated.
        codes: Where the codes come from: a "search" for them, the "nearest"
            ones, or training with nested_lsq ("trained"), whose steps of
            activations are then kept, too.
        images: Training images of the search, and of the batch-norm
            statistics of each width.
        seed: Of their draw and augmentation.
        augment: How they are augmented, as in training: flip, shift, shift=2.

    Raises:
        TypeError, ValueError: If a value is not one of those above.
    """

    bits: tuple[int, ...] = (8, 6, 4, 3, 2)
    activation_bits: tuple[int, ...] = (8,)
    reading: Literal["even", "middle", "truncate"] = "even"
    codes: Literal["search", "nearest", "trained"] = "search"
    images: int = 512
    seed: int = 0
    augment: tuple[str, ...] = ()

    def __post_init__(self):
        checked_widths(self.bits)
        for bits in self.activation_bits:
            check_bits(bits, "activation_bits")
        check_choice("reading", self.reading, READINGS)
        check_choice("codes", self.codes, ("search", "nearest", "trained"))
        if self.codes == "trained" and self.reading != "even":
            raise ValueError(
                "Expected the reading 'even', for which nested_lsq trains, "
                f"beside trained codes. Received: {self.reading!r}."
            )
        check_whole("images", self.images, 2)
        check_whole("seed", self.seed, 0, 2**32 - 1)
        parse_augmentation(self.augment)
        if not self.activation_bits:
            raise ValueError(
                "Expected bits of the activations, such as 8. Received none."
            )

    def on(self, dataset, *, journal=None, progress=True):
        """Returns a function from a `Calibration` to the nested `Setting`s.

        Args:
            dataset: The `Dataset`; images are drawn from its training split.
            journal: A file for what was found so far, to go on from.
            progress: Whether to show a progress bar.
        """
        train = dataset.train
        drawn = train.take(min(self.images, train.count), self.seed)
        batches = augmented_batches(
            drawn, _BATCH_SIZE, seed=self.seed, augment=self.augment
        )

        def search(calibration):
            method = None if self.codes == "trained" else ptq.lp_norm
            has_norms = any(compat.batch_norms_of(calibration.model))
            nested = self._nested(calibration, batches, journal, progress)
            return [
                setting
                for bits in self.activation_bits
                for setting in ptq.nested_settings(
                    calibration,
                    nested,
                    activation_bits=bits,
                    method=method,
                    batch_norm=batches if has_norms else None,
                )
            ]

        return search

    def _nested(self, calibration, batches, journal, progress):
        if self.codes == "trained":
            return qat.nested_weights(calibration.model, self.bits)
        return ptq.nested_rounding(
            calibration,
            self.bits,
            activation_bits=self.activation_bits[0],
            reading=self.reading,
            nearest=self.codes == "nearest",
            batches=batches,
            journal=journal,
            progress=progress,
        )
