"""A PTQ method, learned rounding and batch norm, composed into settings."""

import dataclasses
import functools

from kure_tf.data.sources import check_repeatable
from kure_tf.fake_quantized import apply, batch_norm_statistics, keeping
from kure_tf.ptq.batch_norm import reestimate_batch_norm
from kure_tf.settings import OperatingPoint, Setting


def settings_for(calibration, method, *, rounding=None, batch_norm=None):
    """Returns `setting_for(point) -> Setting`, for `run_sweep` and by itself.

    At each point, in this order:

    1. `method` gives step sizes, once for each distinct (weight bits,
       activation bits): step ratios and roundings multiply them.
    2. `rounding` gives rounded weights for these steps, if the point quantizes
       weights.
    3. Batch-norm statistics are measured again on the model as it then stands,
       in float too, so that points compare.

    The model is left as it was each time; what comes out is data.

    Args:
        calibration: What `calibrate` returned.
        method: `method(calibration, point) -> StepSizes`, such as `lp_norm`;
            None for trained steps: the model's clipping ranges are kept.
        rounding: `rounding(calibration, point, step_sizes,
            reestimated_batch_norm=...) -> RoundedWeights`, such as `adaround`
            or a `functools.partial` of it; None rounds to nearest.
        batch_norm: Batches for `reestimate_batch_norm` that can be gone
            through once per point; None keeps the model's statistics.

    Returns:
        A function of an `OperatingPoint`, or of a `Setting` that says no more
        than where layers stand. Its settings' `provenance` says how many
        images and tensors there were.

    Raises:
        TypeError, ValueError: If batch norm is to be measured again in a model
            without it, or on batches that are used up after the first point.

    Example:
        >>> setting_for = settings_for(calibration, lp_norm)
        >>> setting_for(OperatingPoint(4, 8)).save("w4a8.npz")
    """
    if batch_norm is not None:
        batch_norm_statistics(calibration.model)  # Raises where there is none.
        check_repeatable(batch_norm, "to re-estimate batch norm at every point")

    @functools.cache
    def steps_at(bits):
        # Without a method no step sizes: the model keeps its own.
        return method and method(calibration, bits)

    def setting_for(point):
        setting = point if isinstance(point, Setting) else Setting(point)
        point = setting.point
        bits = OperatingPoint(point.weight_bits, point.activation_bits)
        setting = dataclasses.replace(setting, step_sizes=steps_at(bits))
        if rounding is not None and point.weight_bits is not None:
            rounded = rounding(
                calibration,
                point,
                setting.step_sizes,
                reestimated_batch_norm=batch_norm is not None,
            )
            setting = _with_rounded(setting, rounded)
        if batch_norm is not None:
            setting = with_batch_norm(calibration.model, setting, batch_norm)
        return setting

    return setting_for


def _with_rounded(setting, rounded):
    facts = {
        "adaround_tensors": len(rounded.codes),
        "adaround_skipped": len(rounded.skipped),
        "adaround_images": rounded.provenance["rounding_images"],
        "adaround_updates": rounded.provenance["updates"],
    }
    return dataclasses.replace(
        setting,
        rounded_weights=rounded,
        provenance={**setting.provenance, **facts},
    )


def with_batch_norm(model, setting, batches):
    """Returns a setting with statistics measured on a model that has it."""
    with keeping(model):
        apply(model, setting)
        images = reestimate_batch_norm(model, batches)
        statistics = batch_norm_statistics(model)
    facts = {"batch_norm_images": images}
    return dataclasses.replace(
        setting,
        batch_norm=statistics,
        provenance={**setting.provenance, **facts},
    )
