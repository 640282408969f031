"""Data sets: images and labels with fixed splits.

A data set that this package knows by name is a function of `__all__`. Any other
name is one of TensorFlow Datasets.
"""

from kure_tf.data.dataset import Dataset, from_arrays
from kure_tf.data.digits import digits
from kure_tf.data.imagenet import imagenet
from kure_tf.data.split import Split
from kure_tf.data.tfds import tfds_dataset

__all__ = [
    "Dataset",
    "Split",
    "digits",
    "from_arrays",
    "get",
    "imagenet",
    "tfds_dataset",
]
_ABOUT_DATA = ("Dataset", "Split", "from_arrays", "get", "tfds_dataset")


def get(name, **options) -> Dataset:
    """Returns the data set called `name`.

    Args:
        name: "digits", which is part of the package; "imagenet", whose files
            are at `data_dir`; or a TFDS name such as "cifar10", likewise.
        **options: Arguments of `digits`, `imagenet` or `tfds_dataset`.

    Raises:
        FileNotFoundError: If there are no such files.
        TypeError: If the data set has no such option.
    """
    if not isinstance(name, str):
        raise TypeError(
            f"Expected the name of a data set as text. Received: {name!r}."
        )
    if name in __all__ and name not in _ABOUT_DATA:
        return globals()[name](**options)
    return tfds_dataset(name, **options)
