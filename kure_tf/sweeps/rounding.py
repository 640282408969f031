"""Learned rounding at the points of a sweep."""

import contextlib

from kure_tf.fake_quantized import apply, keeping
from kure_tf.ptq import adaround
from kure_tf.settings import Setting

ROUNDINGS = ("nearest", "adaround")
SUFFIX = " + adaround"
"""What reports add to the name of the PTQ method that gave the steps."""


def adarounding(calibration, **options):
    """Returns `prepare` for `run_sweep`: weights rounded by `adaround`.

    At each point with quantized weights, the rounding is learned for the step
    sizes of that point, and undone after it. A point in float is left alone.

    Args:
        calibration: What `calibrate` returned for the model that is swept.
        **options: As for `adaround`, which raises at points with scaled or
            rounded steps or another rounding mode.

    Example:
        >>> run_sweep(
        ...     model,
        ...     ["4/FP", "3/FP"],
        ...     evaluate=dataset.test,
        ...     calibrate=functools.partial(lp_norm, calibration),
        ...     prepare=adarounding(calibration),
        ...     ptq="lp_norm p=2 + adaround",
        ... )
    """

    @contextlib.contextmanager
    def prepare(point, step_sizes):
        if point.weight_bits is None:
            yield {}
            return
        rounded = adaround(calibration, point, step_sizes, **options)
        with keeping(calibration.model):
            setting = Setting(point, rounded_weights=rounded)
            apply(calibration.model, setting)
            yield {
                "adaround_tensors": len(rounded.codes),
                "adaround_skipped": len(rounded.skipped),
                "adaround_images": rounded.provenance["rounding_images"],
                "adaround_updates": rounded.provenance["updates"],
            }

    return prepare


def check_roundings(roundings):
    """Raises a ValueError unless there are some, all of them known."""
    if not roundings or not set(roundings) <= set(ROUNDINGS):
        raise ValueError(
            "Expected ways to round weights, one or both of "
            f"{ROUNDINGS}. Received: {roundings!r}."
        )
