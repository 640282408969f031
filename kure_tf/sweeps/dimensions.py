"""Sweeps beyond bits and weight steps: each is off until a plan asks."""

import dataclasses

from kure_tf import ptq
from kure_tf.data.split import calibration_draw
from kure_tf.settings.operating_point import OperatingPoint
from kure_tf.sweeps.kinds import CALIBRATION_SEED, CLIPPING, SENSITIVITY
from kure_tf.sweeps.sensitivity import sensitivity_points


def dimension_sweeps(plan, name):
    """Yields `(kind of sweep, name of the PTQ method, points)`.

    Args:
        plan: A `SweepPlan`.
        name: Name of the PTQ method of all but the clipping sweep.
    """
    sweeps = (
        ("activation_step_size", name, _activation_ratios(plan)),
        ("joint_step_size", name, _joint_ratios(plan)),
        ("rounding_mode", name, _rounding_modes(plan)),
        (CLIPPING, "minmax", _clipping(plan)),
        (SENSITIVITY, name, _sensitivity(plan)),
        (CALIBRATION_SEED, name, _calibration(plan)),
    )
    for kind, method, points in sweeps:
        if points:
            yield kind, method, points


def expanded(kind, points, model):
    """Returns the points of a sweep; those of a profile for each layer."""
    if kind != SENSITIVITY:
        return points
    found = []
    for point in points:
        ratio = None if point.step_scale == 1 else point.step_scale
        bare = dataclasses.replace(point, step_scale=1.0)
        found += sensitivity_points(model, bare, ratio=ratio)
    return found


def methods_of(plan) -> dict:
    """Returns the plan's PTQ methods, and those that its sweeps add."""
    added = {"minmax": ptq.minmax} if _clipping(plan) else {}
    return {**added, **plan.ptq}


def calibration_images(dataset, seed):
    """Returns the calibration images, for a seed those of another draw.

    As many, and out of the training split as well.
    """
    if seed is None:
        return dataset.calibration
    return calibration_draw(dataset.train, dataset.calibration.count, seed)


def check_dimensions(plan):
    """Raises a ValueError if a plan's additional sweeps do not go together."""
    for seed in plan.calibration_seeds:
        if not isinstance(seed, int) or seed < 0:
            raise ValueError(
                "Expected calibration_seeds to be integers, 0 or more. "
                f"Received: {plan.calibration_seeds!r}."
            )
    if 1 in plan.sensitivity_ratios:
        raise ValueError(
            "Expected sensitivity_ratios other than 1, at which no layer's "
            f"step is off. Received: {plan.sensitivity_ratios!r}."
        )
    *_, last = plan.ptq.values()
    if plan.calibration_seeds and last is None:
        raise ValueError(
            "Expected a PTQ method that looks at calibration images, to "
            "measure what other draws of them change. Received "
            f"calibration_seeds={plan.calibration_seeds!r} and trained step "
            "sizes (None) as the last method."
        )


def _activation_ratios(plan):
    return [
        OperatingPoint(bits, bits, activation_step_scale=ratio)
        for bits in plan.activation_ratio_bits
        for ratio in plan.ratios
    ]


def _joint_ratios(plan):
    return [
        OperatingPoint(
            bits, bits, step_scale=ratio, activation_step_scale=ratio
        )
        for bits in plan.joint_ratio_bits
        for ratio in plan.ratios
    ]


def _rounding_modes(plan):
    return [
        OperatingPoint(bits, None, rounding_mode=mode)
        for bits in plan.rounding_bits
        for mode in plan.rounding_modes
    ]


def _clipping(plan):
    return [
        OperatingPoint(bits, None, step_scale=ratio)
        for bits in plan.clipping_bits
        for ratio in plan.clipping_ratios
    ]


def _sensitivity(plan):
    return [
        OperatingPoint(bits, None, step_scale=ratio)
        for bits in plan.sensitivity_bits
        for ratio in (1.0, *plan.sensitivity_ratios)
    ]


def _calibration(plan):
    if not plan.calibration_seeds:
        return []
    return [OperatingPoint(bits, bits) for bits in plan.calibration_seed_bits]
