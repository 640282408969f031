"""Weights that training cannot go on from: found before they are kept."""

import numpy as np

from kure_tf import compat

# The square of a larger one leaves float32: decays, norms and variances of
# such weights are infinite or NaN.
_LARGEST = float(np.finfo(np.float32).max) ** 0.5


def wild_weights(model) -> list[str]:
    """Returns the paths "layer/weight" with values beyond +-1.8e19 or NaN."""
    return [
        f"{path}/{_name(variable)}"
        for path, layer in compat.layers_of(model)
        for variable in layer.weights
        if not (np.abs(_values(variable)) <= _LARGEST).all()
    ]


def check_start(model):
    """Raises ValueError if there are `wild_weights` before training."""
    bad = wild_weights(model)
    if bad:
        raise ValueError(
            "Expected a model whose weights are finite numbers with finite "
            "squares. NaN, infinite or beyond 1.8e19 before training: "
            f"{bad}. Load or initialize them anew."
        )


def check_epoch(model, epoch, checkpoint):
    """Raises ValueError if training has led to `wild_weights`.

    Args:
        model: The model that is trained.
        epoch: The epoch that has just ended, counted from 1.
        checkpoint: Path of the file that holds the epoch before, or None.
    """
    bad = wild_weights(model)
    if not bad:
        return
    kept = "there is no checkpoint of an earlier epoch"
    if checkpoint is not None and checkpoint.exists():
        kept = f"{str(checkpoint)!r} still holds epoch {epoch - 1}"
    raise ValueError(
        "Expected weights that stay finite numbers with finite squares. "
        f"Training diverged in epoch {epoch}. NaN, infinite or beyond 1.8e19: "
        f"{bad}. Lower the learning rate (tools: --learning_rate), the "
        "coefficient of a regularizer, or the precision's demands "
        f"('float32'); {kept}."
    )


def _name(variable):
    return variable.name.rpartition("/")[2].partition(":")[0]


def _values(variable):
    value = compat.to_numpy(variable)
    # States of random generators and counters are integers, tables are text.
    return value if value.dtype.kind == "f" else np.zeros(())
