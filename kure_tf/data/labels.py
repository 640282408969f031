"""What examples are labelled with: class numbers or targets."""

import numpy as np


def checked_labels(split, labels, count) -> np.ndarray:
    """Returns class numbers as int64, targets as float32.

    Args:
        split: Name of the split, for errors.
        labels: Integers `[count]` or, for each position of an example,
            `[count, ...]`, where a last axis of 1 is left away; or floating
            point `[count, ...]`.
        count: How many examples there are.

    Raises:
        ValueError: If they are neither, not as many, none or not finite.
    """
    labels = np.asarray(labels)
    fits = labels.shape[:1] == (count,) and 0 not in labels.shape
    if fits and np.issubdtype(labels.dtype, np.floating):
        if not np.isfinite(labels).all():
            raise ValueError(
                "Expected labels of finite numbers. Split "
                f"{split!r} holds NaN or infinity."
            )
        return labels.astype(np.float32, copy=False)
    if not fits or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"Expected one integer label per example, shape [{count}], or per "
            f"position of each, [{count}, ...]; or floating-point targets of "
            f"shape [{count}, ...]. Split {split!r} has {labels.dtype} labels "
            f"of shape {list(labels.shape)}."
        )
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    return labels.astype(np.int64, copy=False)


def check_label_range(split, labels, num_classes):
    """Raises a ValueError when a label is not in 0 .. num_classes - 1."""
    low, high = int(np.min(labels)), int(np.max(labels))
    if low < 0 or high >= num_classes:
        raise ValueError(
            f"Expected labels 0 .. {num_classes - 1}, one per class. Split "
            f"{split!r} holds labels {low} .. {high}. Give num_classes="
            f"{high + 1}, or renumber the labels."
        )
