"""The loss that a model was compiled with."""

from kure_tf.compat.active import IS_KERAS_3


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
