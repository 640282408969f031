"""Data sets: inputs and labels with fixed splits.

A data set that this package knows by name is a function of `__all__`.
"folder:PATH" is a folder of images. Any other name is one of TensorFlow
Datasets.
"""

from kure_tf.data.dataset import Dataset, from_arrays
from kure_tf.data.digits import digits
from kure_tf.data.folder import folder_dataset
from kure_tf.data.imagenet import imagenet
from kure_tf.data.split import Split
from kure_tf.data.tfds import tfds_dataset

__all__ = [
    "Dataset",
    "Split",
    "digits",
    "folder_dataset",
    "from_arrays",
    "get",
    "imagenet",
    "tfds_dataset",
]
_FOLDER = "folder:"
_ABOUT_DATA = (
    *("Dataset", "Split", "folder_dataset", "from_arrays", "get"),
    "tfds_dataset",
)


def get(name, **options) -> Dataset:
    """Returns the data set called `name`.

    Args:
        name: "digits", which is part of the package; "imagenet", whose files
            are at `data_dir`; "folder:PATH", a sub-folder of images for each
            class; or a TFDS name such as "cifar10", at `data_dir`.
        **options: Arguments of `digits`, `imagenet`, `folder_dataset` or
            `tfds_dataset`.

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
    if name.startswith(_FOLDER):
        return folder_dataset(name.removeprefix(_FOLDER), **options)
    return tfds_dataset(name, **options)
