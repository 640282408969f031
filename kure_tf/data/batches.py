"""Batches of images as users hand them over, checked."""

import tensorflow as tf
from tqdm import tqdm


def images_of(model, batches, what, *, progress=False):
    """Yields the images of each batch as a tensor; empty ones are left out.

    Args:
        model: What the images are for.
        batches: Batches of images, or of (images, labels).
        what: What errors and the progress bar call them.
        progress: Whether to show a progress bar.

    Raises:
        ValueError: If there are no images, or `model` does not take them.
    """
    found = False
    for batch in tqdm(batches, what, disable=not progress, leave=False):
        batch = batch[0] if isinstance(batch, (tuple, list)) else batch
        batch = tf.convert_to_tensor(batch)
        _check_shape(model, batch)
        if batch.shape[0]:
            found = True
            yield batch
    if not found:
        raise ValueError(
            f"Expected at least one batch of {what}. Received none. Take some "
            "hundred training images: dataset.calibration.batches(128)."
        )


def _check_shape(model, batch):
    expected = tuple(model.inputs[0].shape)
    given = tuple(batch.shape)
    fits = len(expected) == len(given) and all(
        want in (None, got) for want, got in zip(expected, given, strict=True)
    )
    if not fits:
        raise ValueError(
            f"Expected batches of shape {expected}, what {model.name!r} takes. "
            f"Received a batch of shape {given}."
        )
