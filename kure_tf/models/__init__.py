"""Models for image classification; they return logits."""

from kure_tf.models.import_weights import import_npz
from kure_tf.models.resnet import resnet20
from kure_tf.models.small_cnn import small_cnn

__all__ = ["import_npz", "resnet20", "small_cnn"]


def get(name):
    """Returns the function that builds the model of that name.

    Raises:
        ValueError: If there is none; the error lists those there are.
    """
    choices = [choice for choice in __all__ if choice != "import_npz"]
    if name not in choices:
        raise ValueError(
            f"Expected the name of a model, one of {choices}. "
            f"Received: {name!r}."
        )
    return globals()[name]
