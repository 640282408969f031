"""Images of a split, augmented, but the same ones each time."""


def augmented_batches(split, batch_size, *, seed=0, augment=()):
    """Returns all images of a split, once, in batches.

    Args:
        split: A `Split`.
        batch_size: Images per batch.
        seed: Of order and augmentation.
        augment: Augmentations, as `Split.training_batches` takes them; empty
            for the images as they are, in their order.

    Returns:
        Data set of (images, labels) that gives the same batches whenever it
        is gone through: those of epoch 0.
    """
    if not augment:
        return split.batches(batch_size)
    return split.training_batches(
        batch_size, seed=seed, epoch=0, augment=augment
    )
