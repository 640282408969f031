"""What examples are labelled with: class numbers or targets."""

import numpy as np


def checked_labels(split, labels, count) -> np.ndarray:
    """Returns class numbers as int64, targets as float32.

    Args:
        split: Name of the split, for errors.
        labels: One integer per example, or floating point.
        count: How many examples there are.

    Raises:
        ValueError: If they are neither, not as many, or not finite.
    """
    labels = np.asarray(labels)
    if np.issubdtype(labels.dtype, np.floating) and labels.shape[:1] == (
        count,
    ):
        if not np.isfinite(labels).all():
            raise ValueError(
                "Expected labels of finite numbers. Split "
                f"{split!r} holds NaN or infinity."
            )
        return labels.astype(np.float32, copy=False)
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"Expected one integer label per example, shape [{count}], or "
            f"floating-point targets of shape [{count}, ...]. Split {split!r} "
            f"has {labels.dtype} labels of shape {list(labels.shape)}."
        )
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
