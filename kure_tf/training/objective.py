"""What a model is trained towards: classes, or targets."""

from kure_tf import compat
from kure_tf.compat import keras
from kure_tf.evaluation import loss_of


def objective(model, dataset) -> dict:
    """Returns loss and metrics as Keras' `compile` takes them.

    Of classes the cross-entropy of logits, and the accuracy; of labels for each
    position both are means over all of them. Of targets the loss that the model
    is compiled with, or what `loss_of` says of it.
    """
    if dataset.num_classes is not None:
        return {
            "loss": keras.losses.SparseCategoricalCrossentropy(
                from_logits=True
            ),
            "metrics": [
                keras.metrics.SparseCategoricalAccuracy(name="accuracy")
            ],
        }
    of_targets = loss_of(model, dataset.train.some_labels())

    def loss(y, outputs):
        return of_targets.per_example(y, outputs)

    return {"loss": loss}


def loss_name(model, dataset) -> str | None:
    """Returns what the loss of targets is; None of classes."""
    if dataset.num_classes is not None:
        return None
    return loss_of(model, dataset.train.some_labels()).name


def score_of(logs) -> float | None:
    """Returns how good an epoch was: more is better; None if not validated."""
    if "val_accuracy" in logs:
        return logs["val_accuracy"]
    return -logs["val_loss"] if "val_loss" in logs else None


def check_objective(model, dataset, recipe):
    """Raises a ValueError unless the outputs fit what the labels are."""
    compat.check_one_output(model)
    gives = tuple(model.outputs[0].shape)[1:]
    if dataset.num_classes is not None:
        _check_logits(gives, dataset)
        compat.check_returns_logits(model)
        return
    if recipe.distillation:
        raise ValueError(
            "Expected labels that are class numbers for distillation, which "
            f"compares logits. {dataset.name!r} has floating-point targets. "
            "Set distillation=0."
        )
    if compat.output_losses_of(model) is not None:
        return  # What it is compiled with says what fits.
    has = dataset.train.label_shape
    if gives != has and (gives, has) != ((1,), ()):
        raise ValueError(
            f"Expected a model that returns the shape {list(has)}, that of the "
            f"targets of {dataset.name!r}, or one that is compiled with a "
            f"loss. It returns the shape {list(gives)}."
        )


def _check_logits(gives, dataset):
    classes, places = dataset.num_classes, dataset.train.label_shape
    if len(gives) == len(places) + 1 and all(
        one in (None, other)
        for one, other in zip(gives, (*places, classes), strict=True)
    ):
        return
    of_places = ""
    if places:
        of_places = (
            f" at each position of its labels, {[*places, classes]}. One-hot "
            "labels become class numbers by np.argmax(labels, -1)"
        )
    raise ValueError(
        f"Expected a model that returns {classes} logits, one per class of "
        f"{dataset.name!r}{of_places}. It returns the shape {list(gives)}."
    )
