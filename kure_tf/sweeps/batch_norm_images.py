"""The training images behind re-estimated batch norm and learned rounding."""

import math

from kure_tf.sweeps.augmented_batches import augmented_batches


def batch_norm_facts(dataset, plan) -> dict | None:
    """Returns which images a plan draws from `dataset`; None for none.

    They are drawn from the training split, never from the test split.
    """
    if True not in plan.reestimate_batch_norm and not plan.learns_rounding:
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
