"""Flags of evaluating a quantized model, which several tools share."""

from fields import Fields

_PLAN = Fields(
    "kure_tf.sweeps.plan.SweepPlan",
    ("batch_size", "batch_norm_images", "batch_norm_augment"),
    renamed={"batch_size": "evaluation_batch_size"},
    batch_size=250,
    batch_norm_augment=None,
)


def values():
    """Returns these fields of a `SweepPlan`."""
    return _PLAN.values()
