"""Flags of evaluating a quantized model, which several tools share."""

from absl import flags

BATCH_NORM_IMAGES = flags.DEFINE_integer(
    "batch_norm_images",
    1024,
    "Training images that batch norm is measured again on, and rounding is "
    "learned on.",
    lower_bound=2,
)
BATCH_NORM_AUGMENT = flags.DEFINE_list(
    "batch_norm_augment",
    None,
    "Augmentations of these images, as for --augment of tools/train.py; "
    "default: those that training.json beside the model names, else none.",
)
EVALUATION_BATCH_SIZE = flags.DEFINE_integer(
    "evaluation_batch_size", 250, "Images per evaluation step.", lower_bound=1
)


def batch_norm_augment():
    """Returns --batch_norm_augment; None for what training.json names."""
    given = BATCH_NORM_AUGMENT.value
    return None if given is None else tuple(given)
