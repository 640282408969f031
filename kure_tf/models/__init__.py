"""Models for image classification; they return logits."""

from kure_tf.models.import_weights import import_npz
from kure_tf.models.mobilenet_v2 import mobilenet_v2
from kure_tf.models.resnet_cifar import resnet20
from kure_tf.models.resnet_imagenet import resnet18, resnet50
from kure_tf.models.small_cnn import small_cnn
from kure_tf.models.torch_arrays import torch_arrays
from kure_tf.ops.checks import check_choice

__all__ = [
    "import_npz",
    "mobilenet_v2",
    "resnet18",
    "resnet20",
    "resnet50",
    "small_cnn",
    "torch_arrays",
]
_ABOUT_WEIGHTS = ("import_npz", "torch_arrays")


def get(name):
    """Returns the function that builds the model of that name.

    Raises:
        ValueError: If there is none; the error lists those there are.
    """
    choices = [choice for choice in __all__ if choice not in _ABOUT_WEIGHTS]
    return globals()[check_choice("the name of a model", name, choices)]
