"""The training images behind re-estimated batch norm and learned rounding."""

import math


def batch_norm_facts(dataset, plan) -> dict | None:
    """Returns which images a plan draws from `dataset`; None for none.

    They are drawn from the training split, never from the test split.
    """
    if True not in plan.batch_norm_ways and not plan.learns_rounding:
        return None
    images = min(plan.batch_norm_images, dataset.train.count)
    steps = math.ceil(images / plan.batch_size)
    augment = {"augment": list(plan.batch_norm_augment)}
    return {
        "images": images,
        # Equal batches: the statistics of a small last one would be poor.
        "batch_size": math.ceil(images / steps),
        "seed": plan.batch_norm_seed,
        "source": f"{dataset.train.name} (training images)",
        **(augment if plan.batch_norm_augment else {}),
    }


def batch_norm_batches(dataset, plan):
    """Returns the images of `batch_norm_facts` in batches; None for none."""
    facts = batch_norm_facts(dataset, plan)
    if facts is None:
        return None
    drawn = dataset.train.take(facts["images"], facts["seed"])
    return augmented_batches(
        drawn,
        facts["batch_size"],
        seed=facts["seed"],
        augment=plan.batch_norm_augment,
    )


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
