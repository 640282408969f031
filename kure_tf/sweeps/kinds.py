"""Kinds of sweeps: what varies says which table and plot rows belong to."""

from kure_tf.settings import Setting

CALIBRATION_SEED = "calibration_seed"
CLIPPING = "clipping"
DEVICE = "device"
SENSITIVITY = "sensitivity"


def kind_of(points) -> str:
    """Returns what the rows of some points say as their `sweep`.

    Args:
        points: `OperatingPoint`s, or `Setting`s: what one pattern writes.
    """
    if any(isinstance(point, Setting) and point.layer for point in points):
        return SENSITIVITY
    points = [getattr(point, "point", point) for point in points]
    if any(point.rounding_mode != "nearest" for point in points):
        return "rounding_mode"
    if any(point.activation_step_scale != 1 for point in points):
        both = all(p.step_scale == p.activation_step_scale for p in points)
        return "joint_step_size" if both else "activation_step_size"
    if any(point.step_rounding is not None for point in points):
        return "power_of_two"
    if any(point.step_scale != 1 for point in points):
        return "step_size"
    return "bit_width"
