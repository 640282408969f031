"""The search for one code of all widths, on images of a data set."""

from kure_tf import compat, ptq
from kure_tf.sweeps.batch_norm_images import augmented_batches

_BATCH_SIZE = 256


def nested_search(
    dataset,
    *,
    bits=(8, 6, 4, 3, 2),
    activation_bits=8,
    reading="even",
    nearest=False,
    images=512,
    seed=0,
    augment=(),
    journal=None,
    progress=True,
):
    """Returns the search that `export_artifact` takes.

    Args:
        dataset: The `Dataset`: `images` are drawn from its training split, for
            the search and for the batch-norm statistics of each width.
        bits, reading, nearest: As for `ptq.nested_rounding`.
        activation_bits: Bits of the activations, or several: each width is
            then packed with each of them, and the search is made at the
            first.
        images: How many training images.
        seed: Of their draw and augmentation.
        augment: How they are augmented: as in training. Batch norm expects
            it.
        journal: A file for what was found so far, to go on from.
        progress: Whether to show a progress bar.

    Returns:
        A function from a `Calibration` to the nested `Setting`s.
    """
    activations = (
        [activation_bits]
        if isinstance(activation_bits, int)
        else list(activation_bits)
    )
    drawn = dataset.train.take(min(images, dataset.train.count), seed)
    batches = augmented_batches(drawn, _BATCH_SIZE, seed=seed, augment=augment)

    def search(calibration):
        has_norms = bool(compat.batch_norms_of(calibration.model))
        nested = ptq.nested_rounding(
            calibration,
            bits,
            activation_bits=activations[0],
            reading=reading,
            nearest=nearest,
            reestimated_batch_norm=has_norms,
            batches=None if nearest else batches,
            journal=journal,
            progress=progress,
        )
        return [
            setting
            for one in activations
            for setting in ptq.nested_settings(
                calibration,
                nested,
                activation_bits=one,
                batch_norm=batches if has_norms else None,
            )
        ]

    return search
