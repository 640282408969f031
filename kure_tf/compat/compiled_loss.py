"""The loss that a model was compiled with."""

from kure_tf.compat.active import IS_KERAS_3, keras
from kure_tf.compat.graph import output_names


def compiled_loss_of(model):
    """Returns the loss of `model.compile`, without the model's own losses.

    It is a function of `(y, y_pred, sample_weight)` that leaves the metrics of
    `model` alone, so that a training step may call it beside `compute_loss`.
    None if the model was compiled without a loss.
    """
    if IS_KERAS_3:
        return getattr(model, "_compile_loss", None)
    used = getattr(model, "compiled_loss", None)
    if used is None or used._user_losses is None:
        return None
    # The one in use counts each of its calls in the mean that is logged.
    return type(used)(
        used._user_losses,
        used._user_loss_weights,
        output_names=model.output_names,
        total_loss_mean=_NoMean(),
    )


class _NoMean:
    """Stands where tf_keras keeps the mean of the losses."""

    def update_state(self, *args, **kwargs):
        """Does nothing."""


def output_losses_of(model):
    """Returns `[(name, loss, weight), ...]`, one for each output of a model.

    `loss(y, outputs)` gives the values `[examples, ...]` that the loss of
    `model.compile` is the mean of; it is None for an output without a loss.
    None in place of the list if the model was compiled without a loss.
    """
    config = getattr(model, "_compile_config", None)
    given = {} if config is None else config.config
    if given.get("loss") is None:
        return None
    names = output_names(model)
    losses = _by_output(given["loss"], names)
    weights = _by_output(given.get("loss_weights"), names)
    return [
        (*_unreduced(loss), 1.0 if weight is None else weight)
        for loss, weight in zip(losses, weights, strict=True)
    ]


def _by_output(given, names):
    if isinstance(given, dict):
        return [given.get(name) for name in names]
    if isinstance(given, (list, tuple)):
        return given
    return [given] * len(names)  # One for all, as Keras has it.


def _unreduced(loss):
    if loss is None:
        return None, None
    if isinstance(loss, str):
        loss = keras.losses.get(loss)
    if isinstance(loss, keras.losses.Loss):
        return loss.name, loss.call
    return loss.__name__, loss
