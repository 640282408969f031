"""The numbers behind the paper's tables and figures.

`paper_figures.json` was read from the notebooks, logs and data files of the
authors' repository, `paper_tables.json` from the paper; both say so inside.
"""

import functools
import importlib.resources
import json

from kure_tf.paper.experiments.values import Value, accuracy

IMAGES = 50_000
"""Images of the ImageNet validation split, which the paper evaluates on."""


@functools.cache
def figures() -> dict:
    """Returns the content of `paper_figures.json`."""
    return _load("paper_figures.json")


@functools.cache
def tables() -> dict:
    """Returns the content of `paper_tables.json`."""
    return _load("paper_tables.json")


def curves(columns, percent, images=IMAGES) -> dict[str, dict[str, Value]]:
    """Returns `{series: {column: Value}}`; what is None was not published.

    Args:
        columns: Their names.
        percent: `{series: accuracies in %}`, one for each column.
        images: How many they were measured on.
    """
    return {
        name: {
            column: accuracy([number / 100], images)
            for column, number in zip(columns, numbers, strict=True)
            if number is not None
        }
        for name, numbers in percent.items()
    }


def bits_columns(bits) -> list[str]:
    """Returns "W4" for "4", "FP" for "32" or "fp32"."""
    return ["FP" if "32" in text else f"W{text}" for text in bits]


def ratio_columns(ratios, *, of_inverse=False) -> list[str]:
    """Returns step ratios as columns.

    Args:
        ratios: Numbers.
        of_inverse: Whether they multiply 1 / step, as in the reference code's
            sweeps of trained models (Fig. 4c-d, A.2).
    """
    return [f"{1 / r if of_inverse else r:.3g}" for r in ratios]


def _load(name):
    path = importlib.resources.files(__package__) / name
    return json.loads(path.read_text(encoding="utf-8"))
