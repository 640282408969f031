"""Whether a copy of a model is trained as the model is."""

from kure_tf.compat.active import keras_of

_OF_TRAINING = ("train_step", "test_step", "compute_loss", "compute_metrics")


def check_trained_alike(model, copy, layers=()):
    """Raises if `copy` would be trained in another way than `model`.

    Its class keeps the training step that a user wrote. It has as many losses
    of its weights, and as many metrics beside those it is compiled with; a
    layer may have more losses than before.

    Args:
        model: A functional or sequential model of either Keras.
        copy: The model that should be its equal, in either Keras.
        layers: `[(layer, its copy), ...]` where these differ on purpose. A
            layer whose copy has no weights left, as batch normalization that
            is folded, needs none of its losses.

    Raises:
        TypeError: If one would be lost.
    """
    _check_class(model, copy)
    _check_as_many(model, copy, "losses", losses_of_weights, layers)
    _check_as_many(model, copy, "metrics", added_metrics, layers)


def training_methods_of(model) -> list[str]:
    """Returns the names of what a user's class says about its training."""
    return [name for name in _OF_TRAINING if _is_users(type(model), name)]


def losses_of_weights(layer) -> int:
    """Returns how many losses a layer or model has that need no call.

    Of regularized weights, and (tf_keras) of functions given to `add_loss`.
    """
    if keras_of(layer) == "keras":
        return sum(
            getattr(weight, "regularizer", None) is not None
            for weight in layer.weights
        )
    return sum(len(part._callable_losses) for part in layer._flatten_layers())


def added_metrics(layer) -> int:
    """Returns how many metrics are there beside those of the compilation."""
    return sum(len(part._metrics) for part in layer._flatten_layers())


def _check_class(model, copy):
    own = training_methods_of(model)
    if own and type(copy) is not type(model):
        raise TypeError(
            "Expected a model of Keras' own class, or of one that Keras keeps "
            f"in a copy. Received a {type(model).__name__} with a "
            f"{' and '.join(own)} of its own; the copy would be a "
            f"{type(copy).__name__}. Hand over "
            "`keras.Model(model.inputs, model.outputs)`, and make your own "
            "model of what comes back."
        )


def _is_users(model_class, name):
    for base in model_class.__mro__:
        if name in vars(base):
            return base.__module__.partition(".")[0] not in (
                "keras",
                "tf_keras",
            )
    return False


def _check_as_many(model, copy, what, count, layers):
    own, copied = count(model), count(copy)
    for before, after in layers:
        counts = count(before), count(after)
        if counts[0] > counts[1] and after.weights:
            raise _refusal(f"Layer {before.name!r}", what, *counts)
        own, copied = own - counts[0], copied - counts[1]
    if own != copied:
        raise _refusal(f"{model.name!r}", what, own, copied)


def _refusal(owner, what, before, after):
    return TypeError(
        f"Expected {what} that a copy keeps. {owner} has {before} {what} of "
        f"its own, its copy {after}: they are in no configuration. Add them "
        "to what comes back, or write a layer that has them (with "
        "`get_config`)."
    )
