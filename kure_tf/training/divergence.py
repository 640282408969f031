"""Weights that are no numbers: found before anything is written over."""

import numpy as np

from kure_tf import compat


def weights_not_finite(model) -> list[str]:
    """Returns the paths "layer/weight" whose values are NaN or infinite."""
    return [
        f"{path}/{_name(variable)}"
        for path, layer in compat.layers_of(model)
        for variable in layer.weights
        if not np.isfinite(_values(variable)).all()
    ]


def check_start(model):
    """Raises ValueError if a weight is NaN or infinite before training."""
    bad = weights_not_finite(model)
    if bad:
        raise ValueError(
            "Expected a model whose weights are finite numbers. NaN or "
            f"infinite before training: {bad}. Load or initialize them anew."
        )


def check_epoch(model, epoch, checkpoint):
    """Raises ValueError if training made a weight NaN or infinite.

    Args:
        model: The model that is trained.
        epoch: The epoch that has just ended, counted from 1.
        checkpoint: Path of the file that holds the epoch before, or None.
    """
    bad = weights_not_finite(model)
    if not bad:
        return
    kept = "there is no checkpoint of an earlier epoch"
    if checkpoint is not None and checkpoint.exists():
        kept = f"{str(checkpoint)!r} still holds epoch {epoch - 1}"
    raise ValueError(
        f"Training diverged in epoch {epoch}. NaN or infinite: {bad}. Lower "
        "the learning rate (tools: --learning_rate), the coefficient of a "
        f"regularizer, or the precision's demands ('float32'); {kept}."
    )


def _name(variable):
    return variable.name.rpartition("/")[2].partition(":")[0]


def _values(variable):
    value = compat.to_numpy(variable)
    # States of random generators and counters are integers, tables are text.
    return value if value.dtype.kind == "f" else np.zeros(())
