"""Kinds of sweeps: what varies says which table and plot rows belong to."""

import dataclasses

from kure_tf.settings import OperatingPoint, Setting

CALIBRATION_SEED = "calibration_seed"
CLIPPING = "clipping"
DEVICE = "device"
SENSITIVITY = "sensitivity"

# What sweeps are called that vary a field; the others have its name.
_NAMES = {
    "step_scale": "step_size",
    "step_rounding": "power_of_two",
    "activation_step_scale": "activation_step_size",
}


def kind_of(points) -> str:
    """Returns what the rows of some points say as their `sweep`.

    It is named after the last field of `OperatingPoint` that differs from its
    default in one of them.

    Args:
        points: `OperatingPoint`s, or `Setting`s: what one pattern writes.
    """
    if any(isinstance(point, Setting) and point.layer for point in points):
        return SENSITIVITY
    points = [getattr(point, "point", point) for point in points]
    varied = ["bit_width"]
    for field in dataclasses.fields(OperatingPoint)[2:]:  # All but the bits.
        if any(getattr(p, field.name) != field.default for p in points):
            varied.append(_NAMES.get(field.name, field.name))
    if varied[-1] == "activation_step_size" and all(
        p.step_scale == p.activation_step_scale for p in points
    ):
        return "joint_step_size"
    return varied[-1]
